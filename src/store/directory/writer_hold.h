#pragma once

#include "store/directory/writer_lock.h"
#include "store/io/file.h"

#include <optional>
#include <string>

namespace checkpoint::store {

enum class TakeLock {
  kYes,
  kNo,  ///< For file systems without flock.
};

/// What makes a writer sure that its path still leads to its own directory: the directory itself,
/// held open, and its lock. All writes go by path, and the directory may have been moved or
/// removed and another run's stand in its place, or `.lock` be removed, which lets a second writer
/// in. Neither copied nor moved: a Directory points to it. `require_held` is thread-safe.
class WriterHold {
 public:
  /// The directory must be there. Throws what WriterLock throws, and Error(locked) if it was
  /// replaced meanwhile.
  WriterHold(FileSystem& fs, const std::string& directory, TakeLock lock);
  WriterHold(const WriterHold&) = delete;
  WriterHold& operator=(const WriterHold&) = delete;

  /// Throws Error(locked) unless the path leads to the directory that is held, and to the `.lock`
  /// in it that is held; Error(io) if that cannot be seen. It cannot see what happens between it
  /// and the call that comes next, so it belongs right before that one.
  void require_held() const;

 private:
  File directory_;
  std::optional<WriterLock> lock_;
};

}  // namespace checkpoint::store
