#pragma once

namespace checkpoint {

/// When a restore checks the digests of what it reads.
enum class Verify {
  /// All of them, before the first byte of the live state is touched. The files are read twice, the
  /// second time from the system's page cache where they fit into it.
  kBefore,
  /// In the one pass that reads them into the live state: for states larger than memory. Damage
  /// shows when part of the live state is already overwritten; the error says so.
  kWhileReading,
  /// Never: for who has verified already. Sizes are compared all the same.
  kNever,
};

}  // namespace checkpoint
