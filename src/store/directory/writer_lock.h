#pragma once

#include "store/io/file.h"

#include <string>

namespace checkpoint::store {

/// The lock of the one writer of a directory: flock on its `.lock` file. Released by the
/// destructor, or by the kernel when the process dies; a forked child closes its copy at once,
/// since it would else hold the lock after its parent's death. Movable, not thread-safe.
class WriterLock {
 public:
  /// Takes it without waiting. Throws Error(locked) if another manager has it, Error(unsupported)
  /// if the file system knows no flock.
  WriterLock(FileSystem& fs, const std::string& directory);
  WriterLock(WriterLock&& other) noexcept = default;
  WriterLock& operator=(WriterLock&& other) noexcept;
  ~WriterLock();

  /// Whether `.lock` in that directory is still the file that is locked. One that was removed or
  /// replaced keeps no other writer out. Throws Error(io).
  bool is_in(const std::string& directory) const;

 private:
  File file_;
};

}  // namespace checkpoint::store
