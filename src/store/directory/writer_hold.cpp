#include "store/directory/writer_hold.h"

namespace checkpoint::store {
namespace {

constexpr char kMovedHint[] = "Create a new CheckpointManager for the right directory.";

}  // namespace

WriterHold::WriterHold(FileSystem& fs, const std::string& directory, TakeLock lock)
    : directory_(File::open_directory(fs, directory)) {
  if (lock == TakeLock::kYes) lock_.emplace(fs, directory);
  require_held();  // The path was followed twice: for the directory and for the lock.
}

void WriterHold::require_held() const {
  const std::string& path = directory_.name();
  // The dot follows a link at the path, which may now lead to another run.
  if (!directory_.is_at(join(path, "."))) {
    throw Error(ErrorCode::kLocked,
                "the directory was moved, removed or replaced while this manager wrote to it; "
                "nothing is read, written or removed at its old path",
                path, 0, kMovedHint);
  }
  if (lock_ && !lock_->is_in(path)) {
    throw Error(ErrorCode::kLocked,
                "the file .lock was removed or replaced, so another manager may write to this "
                "directory; nothing more is written or removed here",
                path, 0, kMovedHint);
  }
}

}  // namespace checkpoint::store
