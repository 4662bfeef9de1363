#pragma once

namespace checkpoint {

/// When a restore checks the digests of what it reads.
enum class Verify {
  /// Check all of them before the first byte of the live state changes. The files are read twice,
  /// the second time from the system's page cache if they fit into it. A large file that is not in
  /// this cache may be kept in memory until the restore ends, if it is at most a quarter of the
  /// available memory.
  kBefore,
  /// Check them in the one pass that reads the files into the live state. For states larger than
  /// memory. Damage may be found when part of the live state is already overwritten; the error says
  /// so.
  kWhileReading,
  /// Skip digests, for files that were verified already. Sizes are still checked.
  kNever,
};

}  // namespace checkpoint
