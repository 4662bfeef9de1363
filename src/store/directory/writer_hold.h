#pragma once

#include "store/directory/writer_lock.h"
#include "store/io/file.h"

#include <optional>
#include <string>

namespace checkpoint::store {

/// Whether a writer takes the lock of its directory.
enum class TakeLock {
  kYes,
  kNo,  ///< For file systems without flock.
};

/// A writer's hold on its directory: the open directory and its lock. With it, a writer can check
/// that its path still leads to its own directory. This is needed because all writes use the path:
/// if the directory is moved or removed, the path may lead to another run. If `.lock` is removed, a
/// second writer can start. Cannot be copied or moved, because a Directory points to it.
/// `require_held` is thread-safe.
class WriterHold {
 public:
  /// Opens `directory`, which must exist, and takes its lock. Throws what WriterLock throws, and
  /// Error(locked) if the directory was replaced at that moment.
  WriterHold(FileSystem& fs, const std::string& directory, TakeLock lock);
  WriterHold(const WriterHold&) = delete;
  WriterHold& operator=(const WriterHold&) = delete;

  /// Throws Error: locked unless the path leads to the held directory and its held `.lock`; io if
  /// that cannot be checked. Call it right before each change: it cannot see what happens between
  /// the check and the change.
  void require_held() const;

 private:
  File directory_;
  std::optional<WriterLock> lock_;
};

}  // namespace checkpoint::store
