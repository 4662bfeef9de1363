#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace checkpoint::store {

/// All system calls on files that this library makes, so that a test can make each of them fail.
/// Each function behaves like the call of the same name: it returns -1 and sets errno on failure.
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
  /// Checks whether the process may access `path` with its effective user and groups. `mode` is
  /// R_OK, W_OK or X_OK (`faccessat` with AT_EACCESS).
  virtual int eaccess(const char* path, int mode) = 0;
  virtual int fchmod(int fd, mode_t mode) = 0;
  virtual int fchown(int fd, uid_t owner, gid_t group) = 0;
  virtual int mkdir(const char* path, mode_t mode) = 0;
  virtual int rmdir(const char* path) = 0;
  virtual int unlink(const char* path) = 0;
  virtual int rename(const char* from, const char* to) = 0;
  /// Renames, but never replaces anything: EEXIST. Uses `renameat2(RENAME_NOREPLACE)`. If the file
  /// system does not support it, checks first whether the target exists.
  virtual int rename_noreplace(const char* from, const char* to) = 0;
  /// Gives the file `from` another name (`link`). Never replaces anything: EEXIST. A symbolic link
  /// is not followed.
  virtual int link(const char* from, const char* to) = 0;
  virtual int symlink(const char* target, const char* path) = 0;
  /// Reads the target of a symbolic link, of any length.
  virtual int readlink(const char* path, std::string* target) = 0;
  virtual int flock(int fd, int operation) = 0;
  /// Lists the names in a directory, in any order, without "." and "..".
  virtual int list(const char* path, std::vector<std::string>* names) = 0;
  /// Finds out how many bytes an ordinary user may still write below `path` (`statvfs`).
  virtual int free_bytes(const char* path, uint64_t* bytes) = 0;
  /// Reserves the blocks of the first `bytes` bytes and makes the file that long (`fallocate`).
  virtual int allocate(int fd, off_t bytes) = 0;
  /// Makes the file that long (`ftruncate`).
  virtual int truncate(int fd, off_t bytes) = 0;
  /// Switches direct reads and writes, which bypass the page cache (O_DIRECT), on or off. EINVAL if
  /// the file system does not support it; some report that only at the first write.
  virtual int set_direct(int fd, bool value) = 0;
  /// Reads one byte if that does not need the disk (`preadv2` with RWF_NOWAIT). EAGAIN: it would.
  virtual int is_cached(int fd, off_t offset) = 0;
  /// Asks the system to read a part of the file into memory (`posix_fadvise`; only a hint).
  virtual int read_ahead(int fd, off_t offset, off_t count) = 0;
  /// Asks the system to read this file from the disk next time (`posix_fadvise`; only a hint).
  virtual int drop_cache(int fd) = 0;
};

/// Returns the real file system. It lives as long as the process.
FileSystem& posix_file_system();

}  // namespace checkpoint::store
