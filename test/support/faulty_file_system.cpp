#include "support/faulty_file_system.h"

#include <algorithm>
#include <cerrno>
#include <initializer_list>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace test {
namespace {

std::vector<Fault> errors(std::initializer_list<int> numbers) {
  std::vector<Fault> faults;
  for (const int number : numbers) faults.push_back({Fault::Kind::kError, number});
  return faults;
}

std::vector<Fault> harmless_errors(std::initializer_list<int> numbers) {
  std::vector<Fault> faults = errors(numbers);
  for (Fault& fault : faults) fault.harmless = true;
  return faults;
}

std::vector<Fault> with(std::vector<Fault> faults, std::initializer_list<Fault> more) {
  faults.insert(faults.end(), more);
  return faults;
}

constexpr Fault kInterrupted = {Fault::Kind::kError, EINTR, true};
constexpr Fault kPartial = {Fault::Kind::kPartial, 0, true};

}  // namespace

std::string Fault::text() const {
  switch (kind) {
    case Kind::kPartial:
      return "moves half";
    case Kind::kStop:
      return "is the last";
    case Kind::kError:
      break;
  }
  return "fails: " + std::generic_category().message(error_number);
}

const std::map<std::string, std::vector<Fault>>& faults_by_call() {
  static const std::map<std::string, std::vector<Fault>> faults = {
      {"open", with(errors({EACCES, EMFILE, ENFILE, ENOENT, EIO, ENOSPC, EDQUOT, EROFS, ESTALE}),
                    {kInterrupted})},
      {"close", with(errors({EIO, ENOSPC, EDQUOT}), {kInterrupted})},
      {"pread", with(errors({EIO, ENOMEM, ESTALE}), {kInterrupted, kPartial})},
      {"pwrite", with(errors({ENOSPC, EDQUOT, EFBIG, EIO}), {kInterrupted, kPartial})},
      {"fsync", errors({EIO, ENOSPC, EDQUOT})},
      {"fstat", errors({EIO, ENOMEM, ESTALE})},
      {"lstat", errors({EACCES, EIO, ENOMEM, ESTALE})},
      {"stat", errors({EACCES, ELOOP, EIO, ENOMEM, ESTALE})},
      {"eaccess", errors({EACCES, EPERM, EROFS, EIO, ENOMEM, ESTALE})},
      {"fchmod", errors({EPERM, EROFS, EIO, ESTALE})},
      {"fchown", with(errors({EIO, EDQUOT, EROFS, ESTALE}),
                      {{Fault::Kind::kError, EPERM, true}, {Fault::Kind::kError, EINVAL, true}})},
      {"mkdir", errors({ENOSPC, EDQUOT, EACCES, EROFS, EIO, EMLINK})},
      {"rmdir", errors({EIO, EBUSY, EACCES, EROFS})},
      {"unlink", errors({EIO, EBUSY, EACCES, EROFS})},
      {"rename", errors({EIO, ENOSPC, EDQUOT, EACCES, EROFS})},
      {"rename_noreplace", errors({EIO, ENOSPC, EDQUOT, EACCES, EROFS, EEXIST})},
      // What cannot be linked is written again.
      {"link", harmless_errors({EACCES, EDQUOT, EEXIST, EIO, EMLINK, ENOENT, ENOSPC, EOPNOTSUPP,
                                EPERM, EROFS, EXDEV})},
      {"symlink", errors({EIO, ENOSPC, EDQUOT, EPERM, EROFS})},
      {"readlink", errors({EACCES, EIO, ENOMEM, ESTALE})},
      {"flock", errors({EWOULDBLOCK, ENOLCK, EIO})},
      {"list", errors({EACCES, EMFILE, EIO, ENOMEM})},
      {"free_bytes", {{Fault::Kind::kError, ENOSYS, true}, {Fault::Kind::kError, EIO, true}}},
      {"allocate", with(errors({ENOSPC, EDQUOT, EFBIG}), {kInterrupted,
                                                          {Fault::Kind::kError, EOPNOTSUPP, true},
                                                          {Fault::Kind::kError, EIO, true}})},
      {"truncate", with(errors({EIO, ENOSPC, EFBIG}), {kInterrupted})},
      {"set_direct", {{Fault::Kind::kError, EINVAL, true}}},
      {"is_cached", {{Fault::Kind::kError, EAGAIN, true}, {Fault::Kind::kError, EOPNOTSUPP, true}}},
      {"read_ahead", {{Fault::Kind::kError, EINVAL, true}}},
      {"drop_cache", {{Fault::Kind::kError, EINVAL, true}}},
  };
  return faults;
}

FaultyFileSystem::FaultyFileSystem(FileSystem& real) : real_(real) {}

FaultyFileSystem::FaultyFileSystem(MemoryFileSystem& memory)
    : real_(memory), on_failed_sync_([&memory](int fd) { memory.fail_sync(fd); }) {}

void FaultyFileSystem::arm(int call, const Fault& fault) {
  armed_at_ = call;
  fault_ = fault;
  calls_.clear();
}

void FaultyFileSystem::before(int call, std::function<void()> event) {
  event_at_ = call;
  event_ = std::move(event);
}

FaultyFileSystem::Fate FaultyFileSystem::fate_of(const char* call) {
  const std::lock_guard<std::mutex> hold(mutex_);
  if (faults_by_call().count(call) == 0) {
    throw std::logic_error(std::string("faults_by_call() lacks ") + call);
  }
  const int number = static_cast<int>(calls_.size());
  calls_.emplace_back(call);
  if (number == event_at_) event_();
  if (armed_at_ < 0 || number < armed_at_) return Fate::kHappens;
  switch (fault_.kind) {
    case Fault::Kind::kStop:
      errno = EIO;
      return Fate::kDead;
    case Fault::Kind::kPartial:
      return number == armed_at_ ? Fate::kHalf : Fate::kHappens;
    case Fault::Kind::kError:
      break;
  }
  if (number != armed_at_) return Fate::kHappens;
  errno = fault_.error_number;
  return Fate::kFails;
}

int FaultyFileSystem::open(const char* path, int flags, mode_t mode) {
  return pass("open", [&] { return real_.open(path, flags, mode); });
}

int FaultyFileSystem::close(int fd) {
  const Fate fate = fate_of("close");
  if (fate == Fate::kDead) return -1;
  // What close reports does not keep the descriptor open.
  const int result = real_.close(fd);
  if (fate == Fate::kHappens) return result;
  errno = fault_.error_number;
  return -1;
}

ssize_t FaultyFileSystem::pread(int fd, void* to, size_t count, off_t offset) {
  const Fate fate = fate_of("pread");
  if (fate == Fate::kHalf) count = std::max<size_t>(1, count / 2);
  return fate == Fate::kHappens || fate == Fate::kHalf ? real_.pread(fd, to, count, offset) : -1;
}

ssize_t FaultyFileSystem::pwrite(int fd, const void* from, size_t count, off_t offset) {
  const Fate fate = fate_of("pwrite");
  if (fate == Fate::kHalf) count = std::max<size_t>(1, count / 2);
  return fate == Fate::kHappens || fate == Fate::kHalf ? real_.pwrite(fd, from, count, offset) : -1;
}

int FaultyFileSystem::fsync(int fd) {
  const Fate fate = fate_of("fsync");
  if (fate == Fate::kHappens) return real_.fsync(fd);
  const int error_number = errno;
  if (fate == Fate::kFails && on_failed_sync_) on_failed_sync_(fd);
  errno = error_number;
  return -1;
}

int FaultyFileSystem::fstat(int fd, struct stat* info) {
  return pass("fstat", [&] { return real_.fstat(fd, info); });
}

int FaultyFileSystem::lstat(const char* path, struct stat* info) {
  return pass("lstat", [&] { return real_.lstat(path, info); });
}

int FaultyFileSystem::stat(const char* path, struct stat* info) {
  return pass("stat", [&] { return real_.stat(path, info); });
}

int FaultyFileSystem::eaccess(const char* path, int mode) {
  return pass("eaccess", [&] { return real_.eaccess(path, mode); });
}

int FaultyFileSystem::fchmod(int fd, mode_t mode) {
  return pass("fchmod", [&] { return real_.fchmod(fd, mode); });
}

int FaultyFileSystem::fchown(int fd, uid_t owner, gid_t group) {
  return pass("fchown", [&] { return real_.fchown(fd, owner, group); });
}

int FaultyFileSystem::mkdir(const char* path, mode_t mode) {
  return pass("mkdir", [&] { return real_.mkdir(path, mode); });
}

int FaultyFileSystem::rmdir(const char* path) {
  return pass("rmdir", [&] { return real_.rmdir(path); });
}

int FaultyFileSystem::unlink(const char* path) {
  return pass("unlink", [&] { return real_.unlink(path); });
}

int FaultyFileSystem::rename(const char* from, const char* to) {
  return pass("rename", [&] { return real_.rename(from, to); });
}

int FaultyFileSystem::rename_noreplace(const char* from, const char* to) {
  return pass("rename_noreplace", [&] { return real_.rename_noreplace(from, to); });
}

int FaultyFileSystem::link(const char* from, const char* to) {
  return pass("link", [&] { return real_.link(from, to); });
}

int FaultyFileSystem::symlink(const char* target, const char* path) {
  return pass("symlink", [&] { return real_.symlink(target, path); });
}

int FaultyFileSystem::readlink(const char* path, std::string* target) {
  return pass("readlink", [&] { return real_.readlink(path, target); });
}

int FaultyFileSystem::flock(int fd, int operation) {
  return pass("flock", [&] { return real_.flock(fd, operation); });
}

int FaultyFileSystem::list(const char* path, std::vector<std::string>* names) {
  return pass("list", [&] { return real_.list(path, names); });
}

int FaultyFileSystem::free_bytes(const char* path, uint64_t* bytes) {
  return pass("free_bytes", [&] { return real_.free_bytes(path, bytes); });
}

int FaultyFileSystem::allocate(int fd, off_t bytes) {
  return pass("allocate", [&] { return real_.allocate(fd, bytes); });
}

int FaultyFileSystem::truncate(int fd, off_t bytes) {
  return pass("truncate", [&] { return real_.truncate(fd, bytes); });
}

int FaultyFileSystem::set_direct(int fd, bool value) {
  return pass("set_direct", [&] { return real_.set_direct(fd, value); });
}

int FaultyFileSystem::is_cached(int fd, off_t offset) {
  return pass("is_cached", [&] { return real_.is_cached(fd, offset); });
}

int FaultyFileSystem::read_ahead(int fd, off_t offset, off_t count) {
  return pass("read_ahead", [&] { return real_.read_ahead(fd, offset, count); });
}

int FaultyFileSystem::drop_cache(int fd) {
  return pass("drop_cache", [&] { return real_.drop_cache(fd); });
}

}  // namespace test
