#pragma once

#include "store/io/file_system.h"

#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

namespace test {

/// The real file system, but fsync waits while the gate is closed, and fails with an error number
/// of the test's choice. Thread-safe.
class GatedFileSystem final : public checkpoint::store::FileSystem {
 public:
  void close_gate() { set(false, 0); }
  /// `error_number` is what fsync fails with from now on; 0: it does not.
  void open_gate(int error_number = 0) { set(true, error_number); }

  /// Waits until an fsync waits at the closed gate.
  void wait_until_blocked() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return blocked_ > 0; });
  }

  int fsync(int fd) override {
    std::unique_lock<std::mutex> lock(mutex_);
    ++blocked_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_; });
    --blocked_;
    if (error_ != 0) {
      errno = error_;
      return -1;
    }
    lock.unlock();
    return real_.fsync(fd);
  }
  int open(const char* path, int flags, mode_t mode) override {
    return real_.open(path, flags, mode);
  }
  int close(int fd) override { return real_.close(fd); }
  ssize_t pread(int fd, void* to, size_t count, off_t offset) override {
    return real_.pread(fd, to, count, offset);
  }
  ssize_t pwrite(int fd, const void* from, size_t count, off_t offset) override {
    return real_.pwrite(fd, from, count, offset);
  }
  int fstat(int fd, struct stat* info) override { return real_.fstat(fd, info); }
  int lstat(const char* path, struct stat* info) override { return real_.lstat(path, info); }
  int stat(const char* path, struct stat* info) override { return real_.stat(path, info); }
  int eaccess(const char* path, int mode) override { return real_.eaccess(path, mode); }
  int fchmod(int fd, mode_t mode) override { return real_.fchmod(fd, mode); }
  int fchown(int fd, uid_t owner, gid_t group) override { return real_.fchown(fd, owner, group); }
  int mkdir(const char* path, mode_t mode) override { return real_.mkdir(path, mode); }
  int rmdir(const char* path) override { return real_.rmdir(path); }
  int unlink(const char* path) override { return real_.unlink(path); }
  int rename(const char* from, const char* to) override { return real_.rename(from, to); }
  int rename_noreplace(const char* from, const char* to) override {
    return real_.rename_noreplace(from, to);
  }
  int link(const char* from, const char* to) override { return real_.link(from, to); }
  int symlink(const char* target, const char* path) override { return real_.symlink(target, path); }
  int readlink(const char* path, std::string* target) override {
    return real_.readlink(path, target);
  }
  int flock(int fd, int operation) override { return real_.flock(fd, operation); }
  int list(const char* path, std::vector<std::string>* names) override {
    return real_.list(path, names);
  }
  int free_bytes(const char* path, uint64_t* bytes) override {
    return real_.free_bytes(path, bytes);
  }
  int allocate(int fd, off_t bytes) override { return real_.allocate(fd, bytes); }
  int truncate(int fd, off_t bytes) override { return real_.truncate(fd, bytes); }
  int set_direct(int fd, bool value) override { return real_.set_direct(fd, value); }
  int is_cached(int fd, off_t offset) override { return real_.is_cached(fd, offset); }
  int read_ahead(int fd, off_t offset, off_t count) override {
    return real_.read_ahead(fd, offset, count);
  }
  int drop_cache(int fd) override { return real_.drop_cache(fd); }

 private:
  void set(bool open, int error_number) {
    const std::lock_guard<std::mutex> hold(mutex_);
    open_ = open;
    error_ = error_number;
    changed_.notify_all();
  }

  checkpoint::store::FileSystem& real_ = checkpoint::store::posix_file_system();
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = true;
  int blocked_ = 0;  // How many calls are at the gate.
  int error_ = 0;
};

}  // namespace test
