#pragma once

#include "store/io/file.h"

#include <string>

namespace checkpoint::store {

/// The lock of a directory's only writer: flock on its `.lock` file. The destructor releases it, or
/// the kernel when the process dies. A forked child closes its copy at once: otherwise it would
/// hold the lock after the death of its parent. Movable, not thread-safe.
class WriterLock {
 public:
  /// Takes the lock without waiting. Throws Error: locked if another manager has it, unsupported if
  /// the file system does not support flock, io.
  WriterLock(FileSystem& fs, const std::string& directory);
  WriterLock(WriterLock&& other) noexcept = default;
  WriterLock& operator=(WriterLock&& other) noexcept;
  ~WriterLock();

  /// Returns whether `.lock` in that directory is still the locked file. If it was removed or
  /// replaced, the lock no longer keeps other writers out. Throws Error(io).
  bool is_in(const std::string& directory) const;

 private:
  File file_;
};

}  // namespace checkpoint::store
