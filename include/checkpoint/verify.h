#pragma once

namespace checkpoint {

/// When a restore checks the digests of what it reads.
enum class Verify {
  /// All of them, before the first byte of the live state changes. The files are read twice, the
  /// second time from the system's page cache if they fit into it.
  kBefore,
  /// In the one pass that reads them into the live state. For states larger than memory. Damage may
  /// be found when part of the live state is already overwritten; the error says so.
  kWhileReading,
  /// Skip digests, for files that were verified already. Sizes are still checked.
  kNever,
};

}  // namespace checkpoint
