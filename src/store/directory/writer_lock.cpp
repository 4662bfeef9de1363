#include "store/directory/writer_lock.h"

#include "store/records/names.h"

#include <pthread.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <vector>

namespace checkpoint::store {
namespace {

// The descriptors that a forked child must close. The mutex is held during the fork, so that the
// child never sees a list that is half changed.
struct HeldLocks {
  std::mutex mutex;
  std::vector<int> descriptors;
};

HeldLocks& held_locks() {
  static auto* const held = new HeldLocks;
  return *held;
}

void before_fork() { held_locks().mutex.lock(); }
void after_fork_in_parent() { held_locks().mutex.unlock(); }
void after_fork_in_child() {
  for (const int fd : held_locks().descriptors) ::close(fd);
  held_locks().descriptors.clear();
  held_locks().mutex.unlock();
}

void remember(int fd) {
  static const int registered =
      pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
  static_cast<void>(registered);
  const std::lock_guard<std::mutex> hold(held_locks().mutex);
  held_locks().descriptors.push_back(fd);
}

// Returns false if this process is a forked child, which has already closed the descriptor.
bool forget(int fd) {
  const std::lock_guard<std::mutex> hold(held_locks().mutex);
  auto& descriptors = held_locks().descriptors;
  const auto found = std::find(descriptors.begin(), descriptors.end(), fd);
  if (found == descriptors.end()) return false;
  descriptors.erase(found);
  return true;
}

}  // namespace

WriterLock::WriterLock(FileSystem& fs, const std::string& directory)
    : file_(File::open_or_create(fs, join(directory, kLockFile))) {
  if (fs.flock(file_.fd(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      throw Error(ErrorCode::kLocked, "another CheckpointManager writes to this directory",
                  directory, 0,
                  "Give each run its own directory, or wait until the other run has ended.");
    }
    if (errno == ENOSYS || errno == ENOLCK || errno == EOPNOTSUPP || errno == EINVAL) {
      throw Error(ErrorCode::kUnsupported, "the file system cannot lock files", directory, errno,
                  "Make sure that only one manager writes here, and set lock(false).");
    }
    throw system_failure("lock the directory", directory, errno);
  }
  remember(file_.fd());
}

WriterLock& WriterLock::operator=(WriterLock&& other) noexcept {
  std::swap(file_, other.file_);
  return *this;
}

WriterLock::~WriterLock() {
  if (file_.fd() >= 0 && !forget(file_.fd())) file_.release();
}

bool WriterLock::is_in(const std::string& directory) const {
  return file_.is_at(join(directory, kLockFile));
}

}  // namespace checkpoint::store
