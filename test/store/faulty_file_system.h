#pragma once

#include "store/file_system.h"

#include <cerrno>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace test {

/// The real file system, but its n-th call fails with an error number of the test's choice.
class FaultyFileSystem : public checkpoint::store::FileSystem {
 public:
  /// Calls are counted from 0; -1: none fails.
  void fail(int call, int error_number) {
    failing_ = call;
    error_ = error_number;
    calls_.clear();
  }
  /// From the n-th call on, all fail.
  void fail_from(int call, int error_number) {
    fail(call, error_number);
    for_good_ = true;
  }
  void heal() {
    failing_ = -1;
    for_good_ = false;
  }
  /// The names of the calls since the last `fail`.
  const std::vector<std::string>& calls() const { return calls_; }

  int open(const char* path, int flags, mode_t mode) override {
    return failing("open") ? -1 : real_.open(path, flags, mode);
  }
  int close(int fd) override {
    // What close reports does not keep the descriptor open.
    const bool fails = failing("close");
    const int result = real_.close(fd);
    if (fails) errno = error_;
    return fails ? -1 : result;
  }
  ssize_t pread(int fd, void* to, size_t count, off_t offset) override {
    return failing("pread") ? -1 : real_.pread(fd, to, count, offset);
  }
  ssize_t pwrite(int fd, const void* from, size_t count, off_t offset) override {
    return failing("pwrite") ? -1 : real_.pwrite(fd, from, count, offset);
  }
  int fsync(int fd) override { return failing("fsync") ? -1 : real_.fsync(fd); }
  int fstat(int fd, struct stat* info) override {
    return failing("fstat") ? -1 : real_.fstat(fd, info);
  }
  int lstat(const char* path, struct stat* info) override {
    return failing("lstat") ? -1 : real_.lstat(path, info);
  }
  int mkdir(const char* path, mode_t mode) override {
    return failing("mkdir") ? -1 : real_.mkdir(path, mode);
  }
  int rmdir(const char* path) override { return failing("rmdir") ? -1 : real_.rmdir(path); }
  int unlink(const char* path) override { return failing("unlink") ? -1 : real_.unlink(path); }
  int rename(const char* from, const char* to) override {
    return failing("rename") ? -1 : real_.rename(from, to);
  }
  int rename_noreplace(const char* from, const char* to) override {
    return failing("rename_noreplace") ? -1 : real_.rename_noreplace(from, to);
  }
  int symlink(const char* target, const char* path) override {
    return failing("symlink") ? -1 : real_.symlink(target, path);
  }
  int flock(int fd, int operation) override {
    return failing("flock") ? -1 : real_.flock(fd, operation);
  }
  int list(const char* path, std::vector<std::string>* names) override {
    return failing("list") ? -1 : real_.list(path, names);
  }
  int free_bytes(const char* path, uint64_t* bytes) override {
    return failing("free_bytes") ? -1 : real_.free_bytes(path, bytes);
  }
  int drop_cache(int fd) override { return failing("drop_cache") ? -1 : real_.drop_cache(fd); }

 private:
  bool failing(const char* call) {
    const int number = static_cast<int>(calls_.size());
    calls_.emplace_back(call);
    if (failing_ < 0 || (for_good_ ? number < failing_ : number != failing_)) return false;
    errno = error_;
    return true;
  }

  checkpoint::store::FileSystem& real_ = checkpoint::store::posix_file_system();
  int failing_ = -1;
  int error_ = 0;
  bool for_good_ = false;
  std::vector<std::string> calls_;
};

}  // namespace test
