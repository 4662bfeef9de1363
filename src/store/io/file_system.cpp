// The real file system: each function is one call to Linux. It reports failures as Linux does, with
// -1 and errno; file.cpp makes Errors of them. Tests use other FileSystems, which fail a chosen
// call, simulate a crash, or keep files in memory.

#include "store/io/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

namespace checkpoint::store {
namespace {

// Returns what mincore says of the page at `offset`, and true if it cannot say it.
bool is_resident(int fd, off_t offset) {
  const auto page = static_cast<off_t>(::sysconf(_SC_PAGESIZE));
  void* const place =
      ::mmap(nullptr, static_cast<size_t>(page), PROT_READ, MAP_SHARED, fd, offset / page * page);
  if (place == MAP_FAILED) return true;
  unsigned char resident = 1;
  ::mincore(place, static_cast<size_t>(page), &resident);
  ::munmap(place, static_cast<size_t>(page));
  return (resident & 1) != 0;
}

// Blocks SIGXFSZ and removes it. Writing beyond the file size limit (ulimit -f) sends this signal,
// which ends a process without a handler for it. Here the limit must be an error, like a full disk.
// A signal that was already pending stays pending.
class WithoutSizeSignal {
 public:
  WithoutSizeSignal() {
    ::sigemptyset(&signal_);
    ::sigaddset(&signal_, SIGXFSZ);
    sigset_t pending;
    ::sigpending(&pending);
    was_pending_ = ::sigismember(&pending, SIGXFSZ) == 1;
    ::pthread_sigmask(SIG_BLOCK, &signal_, &before_);
  }
  ~WithoutSizeSignal() {
    const int result = errno;
    if (!was_pending_) {
      const timespec at_once = {};
      while (::sigtimedwait(&signal_, nullptr, &at_once) == -1 && errno == EINTR) {
      }
    }
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    errno = result;
  }
  WithoutSizeSignal(const WithoutSizeSignal&) = delete;
  WithoutSizeSignal& operator=(const WithoutSizeSignal&) = delete;

 private:
  sigset_t signal_;
  sigset_t before_;
  bool was_pending_;
};

// Passes each call on to the system.
class PosixFileSystem final : public FileSystem {
 public:
  int open(const char* path, int flags, mode_t mode) override { return ::open(path, flags, mode); }
  int close(int fd) override { return ::close(fd); }
  ssize_t pread(int fd, void* to, size_t count, off_t offset) override {
    return ::pread(fd, to, count, offset);
  }
  ssize_t pwrite(int fd, const void* from, size_t count, off_t offset) override {
    const WithoutSizeSignal guard;
    return ::pwrite(fd, from, count, offset);
  }
  int fsync(int fd) override { return ::fsync(fd); }
  int fstat(int fd, struct stat* info) override { return ::fstat(fd, info); }
  int lstat(const char* path, struct stat* info) override { return ::lstat(path, info); }
  int stat(const char* path, struct stat* info) override { return ::stat(path, info); }
  int eaccess(const char* path, int mode) override {
    return ::faccessat(AT_FDCWD, path, mode, AT_EACCESS);
  }
  int fchmod(int fd, mode_t mode) override { return ::fchmod(fd, mode); }
  int fchown(int fd, uid_t owner, gid_t group) override { return ::fchown(fd, owner, group); }
  int mkdir(const char* path, mode_t mode) override { return ::mkdir(path, mode); }
  int rmdir(const char* path) override { return ::rmdir(path); }
  int unlink(const char* path) override { return ::unlink(path); }
  int rename(const char* from, const char* to) override { return ::rename(from, to); }

  int rename_noreplace(const char* from, const char* to) override {
    if (::renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return -1;
    // Writers hold a lock, so only another program could create the target between these two calls.
    struct stat info;
    if (::lstat(to, &info) == 0) {
      errno = EEXIST;
      return -1;
    }
    return errno == ENOENT ? ::rename(from, to) : -1;
  }

  int link(const char* from, const char* to) override { return ::link(from, to); }
  int symlink(const char* target, const char* path) override { return ::symlink(target, path); }

  int readlink(const char* path, std::string* target) override {
    // PATH_MAX: Linux does not allow longer link targets.
    target->resize(4096);
    const ssize_t length = ::readlink(path, target->data(), target->size());
    target->resize(length < 0 ? 0 : static_cast<size_t>(length));
    return length < 0 ? -1 : 0;
  }

  int flock(int fd, int operation) override { return ::flock(fd, operation); }

  int list(const char* path, std::vector<std::string>* names) override {
    names->clear();
    DIR* directory = ::opendir(path);
    if (directory == nullptr) return -1;
    errno = 0;
    while (const dirent* entry = ::readdir(directory)) {
      if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0) {
        names->emplace_back(entry->d_name);
      }
    }
    const int failure = errno;
    ::closedir(directory);
    errno = failure;
    return failure == 0 ? 0 : -1;
  }

  int free_bytes(const char* path, uint64_t* bytes) override {
    struct statvfs info;
    if (::statvfs(path, &info) != 0) return -1;
    *bytes = static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
    return 0;
  }

  int allocate(int fd, off_t bytes) override {
    const WithoutSizeSignal guard;
    return ::fallocate(fd, 0, 0, bytes);
  }

  int truncate(int fd, off_t bytes) override {
    const WithoutSizeSignal guard;
    return ::ftruncate(fd, bytes);
  }

  int set_direct(int fd, bool value) override {
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0) return -1;
    return ::fcntl(fd, F_SETFL, value ? flags | O_DIRECT : flags & ~O_DIRECT);
  }

  // A read that must not wait makes the kernel fetch the page, and may find it a moment later. So
  // mincore is asked first. It says yes for all files that this process may not write.
  int is_cached(int fd, off_t offset) override {
    if (!is_resident(fd, offset)) {
      errno = EAGAIN;
      return -1;
    }
    char byte = 0;
    const iovec place = {&byte, 1};
    return ::preadv2(fd, &place, 1, offset, RWF_NOWAIT) < 0 ? -1 : 0;
  }

  int read_ahead(int fd, off_t offset, off_t count) override {
    const int failure = ::posix_fadvise(fd, offset, count, POSIX_FADV_WILLNEED);
    errno = failure;
    return failure == 0 ? 0 : -1;
  }

  int drop_cache(int fd) override {
    const int failure = ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    errno = failure;
    return failure == 0 ? 0 : -1;
  }
};

}  // namespace

FileSystem& posix_file_system() {
  // Never destroyed: a manager may still use it after the end of main.
  static auto* const file_system = new PosixFileSystem;
  return *file_system;
}

}  // namespace checkpoint::store
