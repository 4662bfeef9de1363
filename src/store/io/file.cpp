// One open file, and small helpers for paths and directories. This layer is between the system
// calls (file_system.h) and the rest of the store, which never handles an errno itself:
//
//   - A call that a signal interrupted is repeated.
//   - A short read or write is continued until all bytes are done.
//   - An errno becomes an Error with a code and a hint. "No right to read" and "no right to write"
//     get different hints.

#include "store/io/file.h"

#include <fcntl.h>

#include <cerrno>
#include <utility>

namespace checkpoint::store {
namespace {

// One call moves 1 GiB at most, below Linux's own limit of 2^31 - 4096 bytes.
constexpr size_t kMostAtOnce = size_t{1} << 30;

ErrorCode code_for(int error_number) {
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return ErrorCode::kNoSpace;
    case ENOENT:
      return ErrorCode::kNotFound;
    default:
      return ErrorCode::kIo;
  }
}

bool is_refusal(int error_number) { return error_number == EACCES || error_number == EPERM; }

const char* hint_for(int error_number) {
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
      return "Free some space, or keep fewer checkpoints (keep_last), and save again.";
    case EFBIG:
      return "Raise the file size limit (ulimit -f) and save again.";
    case EACCES:
    case EPERM:
    case EROFS:
      return "Make the directory writable for this user, or choose another one.";
    case EMFILE:
    case ENFILE:
      return "Close files, or raise the limit on open files (ulimit -n).";
    default:
      return "";
  }
}

template <typename Call>
auto retry_interrupted(Call call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

int open_or_throw(FileSystem& fs, const std::string& path, int flags, const char* doing,
                  mode_t mode = 0666) {
  const int fd = retry_interrupted([&] { return fs.open(path.c_str(), flags | O_CLOEXEC, mode); });
  if (fd < 0) {
    const bool reads = (flags & O_ACCMODE) == O_RDONLY;
    throw reads ? reading_failure(doing, path, errno) : system_failure(doing, path, errno);
  }
  return fd;
}

}  // namespace

Error system_failure(const std::string& doing, const std::string& path, int error_number) {
  return Error(code_for(error_number), "cannot " + doing, path, error_number,
               hint_for(error_number));
}

Error reading_failure(const std::string& doing, const std::string& path, int error_number) {
  if (!is_refusal(error_number)) return system_failure(doing, path, error_number);
  return Error(code_for(error_number), "cannot " + doing, path, error_number,
               "Give this user the right to read it.");
}

File File::open(FileSystem& fs, const std::string& path, Links links) {
  const int flags = links == Links::kFollowed ? O_RDONLY : O_RDONLY | O_NOFOLLOW;
  return File(fs, path, open_or_throw(fs, path, flags, "open the file"));
}

File File::create(FileSystem& fs, const std::string& path, mode_t mode) {
  const int flags = O_WRONLY | O_CREAT | O_EXCL;
  return File(fs, path, open_or_throw(fs, path, flags, "create the file", mode));
}

File File::open_directory(FileSystem& fs, const std::string& path) {
  return File(fs, path, open_or_throw(fs, path, O_RDONLY | O_DIRECTORY, "open the directory"));
}

File File::open_or_create(FileSystem& fs, const std::string& path) {
  return File(fs, path,
              open_or_throw(fs, path, O_RDWR | O_CREAT | O_NOFOLLOW, "open or create the file"));
}

File::File(FileSystem& fs, std::string path, int fd) : fs_(&fs), path_(std::move(path)), fd_(fd) {}

File::File(File&& other) noexcept
    : fs_(other.fs_), path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

File& File::operator=(File&& other) noexcept {
  std::swap(fs_, other.fs_);
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  return *this;
}

File::~File() {
  // A writer has called sync and close before, which report errors.
  if (fd_ >= 0) fs_->close(fd_);
}

struct stat File::status() const {
  struct stat info;
  if (fs_->fstat(fd_, &info) != 0) throw system_failure("check the file", path_, errno);
  return info;
}

uint64_t File::size() const { return static_cast<uint64_t>(status().st_size); }

bool File::is_at(const std::string& path) const {
  const struct stat there = status_of(*fs_, path);
  if (there.st_mode == 0) return false;
  const struct stat here = status();
  return here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

void File::read_at(uint64_t offset, void* to, size_t count) const {
  char* cursor = static_cast<char*>(to);
  while (count > 0) {
    const size_t piece = std::min(count, kMostAtOnce);
    const ssize_t got = retry_interrupted(
        [&] { return fs_->pread(fd_, cursor, piece, static_cast<off_t>(offset)); });
    if (got < 0) throw system_failure("read the file", path_, errno);
    if (got == 0) {
      throw Error(ErrorCode::kCorrupt,
                  "the file is truncated: it ends at byte " + std::to_string(offset), path_);
    }
    cursor += got;
    offset += static_cast<uint64_t>(got);
    count -= static_cast<size_t>(got);
  }
}

void File::write_at(uint64_t offset, const void* from, size_t count) {
  const char* cursor = static_cast<const char*>(from);
  while (count > 0) {
    const size_t piece = std::min(count, kMostAtOnce);
    const ssize_t written = retry_interrupted(
        [&] { return fs_->pwrite(fd_, cursor, piece, static_cast<off_t>(offset)); });
    // POSIX forbids a result of 0 here. If a file system returns it, we must not loop for ever.
    if (written <= 0) throw system_failure("write the file", path_, written < 0 ? errno : ENOSPC);
    cursor += written;
    offset += static_cast<uint64_t>(written);
    count -= static_cast<size_t>(written);
  }
}

void File::will_read(uint64_t offset, uint64_t count) const {
  // The kernel limits one request to its own read-ahead size, so we make many small requests.
  constexpr uint64_t kRequest = uint64_t{1} << 20;
  for (uint64_t at = 0; at < count; at += kRequest) {
    fs_->read_ahead(fd_, static_cast<off_t>(offset + at), static_cast<off_t>(kRequest));
  }
}

// Where the system cannot say it, the answer is yes: then the file is read in the usual way.
bool File::is_cached(uint64_t offset) const {
  return fs_->is_cached(fd_, static_cast<off_t>(offset)) >= 0 || errno != EAGAIN;
}

// The flag belongs to the open file, so this opens it once more. Its path may be gone by now.
std::unique_ptr<ByteSource> File::past_cache() const {
  const std::string own = "/proc/self/fd/" + std::to_string(fd_);
  const int fd =
      retry_interrupted([&] { return fs_->open(own.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC, 0); });
  return fd < 0 ? nullptr : std::unique_ptr<ByteSource>(new File(*fs_, path_, fd));
}

void File::allocate(uint64_t bytes) {
  if (bytes == 0) return;
  const int result =
      retry_interrupted([&] { return fs_->allocate(fd_, static_cast<off_t>(bytes)); });
  if (result != 0 && code_for(errno) == ErrorCode::kNoSpace) {
    throw system_failure("reserve room for the file", path_, errno);
  }
}

void File::truncate(uint64_t bytes) {
  const int result =
      retry_interrupted([&] { return fs_->truncate(fd_, static_cast<off_t>(bytes)); });
  if (result != 0) throw system_failure("set the size of the file", path_, errno);
}

bool File::set_direct(bool value) { return fs_->set_direct(fd_, value) == 0; }

void File::sync() {
  if (fs_->fsync(fd_) != 0) throw system_failure("sync the file to the disk", path_, errno);
}

void File::close() {
  // Linux frees the descriptor even when close reports EINTR: never call it twice.
  if (fs_->close(std::exchange(fd_, -1)) != 0 && errno != EINTR) {
    throw system_failure("close the file", path_, errno);
  }
}

void File::drop_cache() const { fs_->drop_cache(fd_); }

std::string join(const std::string& directory, const std::string& name) {
  return !directory.empty() && directory.back() == '/' ? directory + name : directory + '/' + name;
}

void sync_directory(FileSystem& fs, const std::string& path) {
  File directory = File::open_directory(fs, path);
  directory.sync();
}

std::string parent_of(const std::string& path) {
  const size_t end = path.find_last_not_of('/');
  if (end == std::string::npos) return "/";
  const size_t slash = path.find_last_of('/', end);
  if (slash == std::string::npos) return ".";
  const size_t parent_end = path.find_last_not_of('/', slash);
  return parent_end == std::string::npos ? "/" : path.substr(0, parent_end + 1);
}

void create_with_parents(FileSystem& fs, const std::string& path) {
  if (fs.mkdir(path.c_str(), 0777) != 0) {
    if (errno == EEXIST) return;
    if (errno != ENOENT) throw system_failure("create the directory", path, errno);
    create_with_parents(fs, parent_of(path));
    if (fs.mkdir(path.c_str(), 0777) != 0 && errno != EEXIST) {
      throw system_failure("create the directory", path, errno);
    }
  }
  sync_directory(fs, parent_of(path));
}

std::string read_whole(FileSystem& fs, const std::string& path, uint64_t limit) {
  const File file = File::open(fs, path);
  const uint64_t size = file.size();
  if (size > limit) {
    throw Error(ErrorCode::kCorrupt,
                "the file is too large: " + std::to_string(size) + " bytes, at most " +
                    std::to_string(limit) + " are expected",
                path);
  }
  std::string content(size, '\0');
  file.read_at(0, content.data(), content.size());
  return content;
}

struct stat status_of(FileSystem& fs, const std::string& path) {
  struct stat info = {};
  if (fs.lstat(path.c_str(), &info) != 0) {
    if (errno != ENOENT && errno != ENOTDIR) throw reading_failure("check this path", path, errno);
    info.st_mode = 0;
  }
  return info;
}

std::vector<std::string> list_directory(FileSystem& fs, const std::string& path) {
  std::vector<std::string> names;
  if (fs.list(path.c_str(), &names) != 0 && errno != ENOENT) {
    throw reading_failure("list the directory", path, errno);
  }
  return names;
}

bool is_directory(FileSystem& fs, const std::string& path) {
  return S_ISDIR(status_of(fs, join(path, ".")).st_mode);
}

}  // namespace checkpoint::store
