#include "raw.h"

#include "clock.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <new>
#include <stdexcept>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace bench {
namespace {

constexpr size_t kPiece = size_t{8} << 20;
constexpr size_t kHugePage = size_t{2} << 20;

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

// An open file descriptor; closes it at the end.
class Descriptor {
 public:
  Descriptor(const std::string& path, int flags) : fd_(::open(path.c_str(), flags, 0644)) {
    if (fd_ < 0) fail("cannot open " + path);
  }
  ~Descriptor() { ::close(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  operator int() const { return fd_; }

 private:
  int fd_;
};

// `work(thread)` on each of them.
void on_threads(size_t threads, const std::function<void(size_t)>& work) {
  std::vector<std::thread> others;
  for (size_t i = 1; i < threads; ++i) others.emplace_back(work, i);
  work(0);
  for (std::thread& other : others) other.join();
}

}  // namespace

WarmMemory::WarmMemory(size_t bytes) : bytes_((bytes + kPiece - 1) / kPiece * kPiece) {
  data_ = static_cast<char*>(std::aligned_alloc(kHugePage, bytes_));
  if (data_ == nullptr) throw std::bad_alloc();
  ::madvise(data_, bytes_, MADV_HUGEPAGE);
  for (size_t i = 0; i < bytes_; ++i) data_[i] = static_cast<char>(i * 2654435761u >> 13);
}
WarmMemory::~WarmMemory() { std::free(data_); }

size_t cores() { return std::max(1u, std::thread::hardware_concurrency()); }

double copy_time(char* to, const char* from, size_t bytes, size_t threads) {
  const size_t share = (bytes / threads + 63) / 64 * 64;
  return seconds([&] {
    on_threads(threads, [&](size_t i) {
      const size_t at = std::min(i * share, bytes);
      std::memcpy(to + at, from + at, std::min(share, bytes - at));
    });
  });
}

double copy_fresh_time(const WarmMemory& from, size_t threads) {
  void* const fresh =
      ::mmap(nullptr, from.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (fresh == MAP_FAILED) throw std::bad_alloc();
  const double time = copy_time(static_cast<char*>(fresh), from.data(), from.size(), threads);
  ::munmap(fresh, from.size());
  return time;
}

double raw_write_time(const std::string& path, const WarmMemory& from) {
  ::unlink(path.c_str());
  return seconds([&] {
    const Descriptor file(path, O_WRONLY | O_CREAT | O_EXCL | O_DIRECT);
    (void)::fallocate(file, 0, 0, static_cast<off_t>(from.size()));
    for (size_t at = 0; at < from.size(); at += kPiece) {
      if (::pwrite(file, from.data() + at, kPiece, static_cast<off_t>(at)) !=
          static_cast<ssize_t>(kPiece)) {
        fail("cannot write " + path);
      }
    }
    if (::fsync(file) != 0) fail("cannot sync " + path);
  });
}

double raw_read_time(const std::string& path, const WarmMemory& to, size_t threads) {
  drop_cache(path);
  return seconds([&] {
    const Descriptor file(path, O_RDONLY | O_DIRECT);
    on_threads(threads, [&](size_t i) {
      for (size_t at = i * kPiece; at < to.size(); at += threads * kPiece) {
        if (::pread(file, to.data() + at, kPiece, static_cast<off_t>(at)) < 0) {
          fail("cannot read " + path);
        }
      }
    });
  });
}

void drop_cache(const std::string& path) {
  const Descriptor file(path, O_RDONLY);
  ::fsync(file);
  ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
}

void fill_cache(const std::string& path) {
  const Descriptor file(path, O_RDONLY);
  std::vector<char> piece(size_t{1} << 20);
  while (::read(file, piece.data(), piece.size()) > 0) {
  }
}

void sync_file(const std::string& path) {
  const Descriptor file(path, O_RDONLY);
  if (::fsync(file) != 0) fail("cannot sync " + path);
}

}  // namespace bench
