#pragma once

#include "store/io/file_system.h"
#include "support/memory_file_system.h"

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace test {

/// One way in which a call can go wrong.
struct Fault {
  enum class Kind {
    kError,    ///< It fails with `error_number`.
    kPartial,  ///< It moves half of the bytes that were asked for.
    kStop,     ///< It and every call after it fail, and do nothing: the process is dead.
  };
  Kind kind;
  int error_number = 0;
  /// Whether an operation must succeed all the same (EINTR, a short write).
  bool harmless = false;

  std::string text() const;
};

/// For each call of the seam, the errors that it can return on Linux's local file systems and NFS.
/// A call that is missing here fails the test that makes it.
const std::map<std::string, std::vector<Fault>>& faults_by_call();

/// Another file system, with one call that goes wrong. Thread-safe, except `arm`.
class FaultyFileSystem : public checkpoint::store::FileSystem {
 public:
  /// `real` must outlive this.
  explicit FaultyFileSystem(FileSystem& real = checkpoint::store::posix_file_system());
  /// On this one a failed fsync also loses what it was to sync, as the kernel does.
  explicit FaultyFileSystem(MemoryFileSystem& memory);

  /// Counts calls from 0 again. -1: every call succeeds.
  void arm(int call, const Fault& fault);
  void fail(int call, int error_number) { arm(call, {Fault::Kind::kError, error_number}); }
  void heal() { armed_at_ = -1; }
  /// Runs `event` before that call, in addition to what `arm` asks for. It must not use this file
  /// system.
  void before(int call, std::function<void()> event);
  /// The names of the calls since the last `arm`.
  const std::vector<std::string>& calls() const { return calls_; }

  int open(const char* path, int flags, mode_t mode) override;
  int close(int fd) override;
  ssize_t pread(int fd, void* to, size_t count, off_t offset) override;
  ssize_t pwrite(int fd, const void* from, size_t count, off_t offset) override;
  int fsync(int fd) override;
  int fstat(int fd, struct stat* info) override;
  int lstat(const char* path, struct stat* info) override;
  int stat(const char* path, struct stat* info) override;
  int eaccess(const char* path, int mode) override;
  int fchmod(int fd, mode_t mode) override;
  int fchown(int fd, uid_t owner, gid_t group) override;
  int mkdir(const char* path, mode_t mode) override;
  int rmdir(const char* path) override;
  int unlink(const char* path) override;
  int rename(const char* from, const char* to) override;
  int rename_noreplace(const char* from, const char* to) override;
  int link(const char* from, const char* to) override;
  int symlink(const char* target, const char* path) override;
  int readlink(const char* path, std::string* target) override;
  int flock(int fd, int operation) override;
  int list(const char* path, std::vector<std::string>* names) override;
  int free_bytes(const char* path, uint64_t* bytes) override;
  int allocate(int fd, off_t bytes) override;
  int truncate(int fd, off_t bytes) override;
  int set_direct(int fd, bool value) override;
  int is_cached(int fd, off_t offset) override;
  int read_ahead(int fd, off_t offset, off_t count) override;
  int drop_cache(int fd) override;

 private:
  // What must happen to the current call.
  enum class Fate { kHappens, kFails, kHalf, kDead };
  Fate fate_of(const char* call);
  // Counts the call, and makes it unless it must fail.
  template <typename Call>
  int pass(const char* name, const Call& call) {
    return fate_of(name) == Fate::kHappens ? call() : -1;
  }

  FileSystem& real_;
  std::function<void(int)> on_failed_sync_;
  std::mutex mutex_;
  int armed_at_ = -1;
  int event_at_ = -1;
  std::function<void()> event_;
  Fault fault_ = {Fault::Kind::kError};
  std::vector<std::string> calls_;
};

}  // namespace test
