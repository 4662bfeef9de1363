#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace checkpoint::store {

/// Every system call on files that this library makes passes through here, so that tests can fail
/// each of them. The functions behave as the calls they are named after: -1 and errno on failure.
/// Thread-safe.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  virtual int open(const char* path, int flags, mode_t mode) = 0;
  virtual int close(int fd) = 0;
  virtual ssize_t pread(int fd, void* to, size_t count, off_t offset) = 0;
  virtual ssize_t pwrite(int fd, const void* from, size_t count, off_t offset) = 0;
  virtual int fsync(int fd) = 0;
  virtual int fstat(int fd, struct stat* info) = 0;
  virtual int lstat(const char* path, struct stat* info) = 0;
  virtual int stat(const char* path, struct stat* info) = 0;
  /// Whether the process, with its effective user and groups, may do that: R_OK, W_OK, X_OK.
  virtual int eaccess(const char* path, int mode) = 0;
  virtual int fchmod(int fd, mode_t mode) = 0;
  virtual int fchown(int fd, uid_t owner, gid_t group) = 0;
  virtual int mkdir(const char* path, mode_t mode) = 0;
  virtual int rmdir(const char* path) = 0;
  virtual int unlink(const char* path) = 0;
  virtual int rename(const char* from, const char* to) = 0;
  /// Refuses to replace anything: EEXIST. (`renameat2(RENAME_NOREPLACE)`; where the file system
  /// does not know it, the target is looked for first.)
  virtual int rename_noreplace(const char* from, const char* to) = 0;
  virtual int symlink(const char* target, const char* path) = 0;
  /// What a symbolic link holds, of any length.
  virtual int readlink(const char* path, std::string* target) = 0;
  virtual int flock(int fd, int operation) = 0;
  /// The names in a directory, in no order, without "." and "..".
  virtual int list(const char* path, std::vector<std::string>* names) = 0;
  /// Bytes that an ordinary user may still write below `path` (statvfs).
  virtual int free_bytes(const char* path, uint64_t* bytes) = 0;
  /// Reserves the blocks of the first `bytes` bytes and makes the file that long (`fallocate`).
  virtual int allocate(int fd, off_t bytes) = 0;
  /// Makes the file that long (`ftruncate`).
  virtual int truncate(int fd, off_t bytes) = 0;
  /// Whether reads and writes go past the page cache (O_DIRECT). EINVAL where the file system does
  /// not know it; some only say so at the first write.
  virtual int set_direct(int fd, bool value) = 0;
  /// Asks that a part of the file be read into memory, soon to be used (posix_fadvise; a hint).
  virtual int read_ahead(int fd, off_t offset, off_t count) = 0;
  /// Asks that the next reads of this file come from the disk (posix_fadvise; a hint).
  virtual int drop_cache(int fd) = 0;
};

/// The system itself. Lives as long as the process.
FileSystem& posix_file_system();

}  // namespace checkpoint::store
