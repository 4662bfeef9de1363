#include "raw.h"

#include "clock.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
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

constexpr size_t kCachedPiece = size_t{1} << 20;
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

// New memory, which the system hands out page by page when it is touched.
class FreshMemory {
 public:
  explicit FreshMemory(size_t bytes)
      : bytes_(bytes),
        data_(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    if (data_ == MAP_FAILED) throw std::bad_alloc();
  }
  ~FreshMemory() { ::munmap(data_, bytes_); }
  FreshMemory(const FreshMemory&) = delete;
  FreshMemory& operator=(const FreshMemory&) = delete;
  char* data() const { return static_cast<char*>(data_); }

 private:
  size_t bytes_;
  void* data_;
};

void write_piece(int file, const char* data, size_t count, size_t at, const std::string& path) {
  if (::pwrite(file, data, count, static_cast<off_t>(at)) != static_cast<ssize_t>(count)) {
    fail("cannot write " + path);
  }
}

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
  const FreshMemory fresh(from.size());
  return copy_time(fresh.data(), from.data(), from.size(), threads);
}

double fresh_pages_time(size_t bytes, bool huge, size_t threads) {
  constexpr size_t kSmallPage = 4096;
  const FreshMemory fresh(bytes + kHugePage);
  char* const first =
      fresh.data() + kHugePage - reinterpret_cast<uintptr_t>(fresh.data()) % kHugePage;
  ::madvise(first, bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  const size_t page = huge ? kHugePage : kSmallPage;
  const size_t share = bytes / page / threads * page;
  return seconds([&] {
    on_threads(threads, [&](size_t i) {
      for (size_t at = i * share; at < (i + 1) * share; at += page) first[at] = 1;
    });
  });
}

double raw_write_time(const std::string& path, const WarmMemory& from) {
  ::unlink(path.c_str());
  return seconds([&] {
    const Descriptor file(path, O_WRONLY | O_CREAT | O_EXCL | O_DIRECT);
    (void)::fallocate(file, 0, 0, static_cast<off_t>(from.size()));
    for (size_t at = 0; at < from.size(); at += kPiece) {
      write_piece(file, from.data() + at, kPiece, at, path);
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

double cached_read_time(const std::string& path, const WarmMemory& to, size_t threads) {
  const Descriptor file(path, O_RDONLY);
  return seconds([&] {
    on_threads(threads, [&](size_t i) {
      for (size_t at = i * kCachedPiece; at < to.size(); at += threads * kCachedPiece) {
        if (::pread(file, to.data() + at, kCachedPiece, static_cast<off_t>(at)) < 0) {
          fail("cannot read " + path);
        }
      }
    });
  });
}

double cached_write_time(const std::string& path, const WarmMemory& from) {
  ::unlink(path.c_str());
  const Descriptor file(path, O_WRONLY | O_CREAT | O_EXCL);
  return seconds([&] {
    for (size_t at = 0; at < from.size(); at += kCachedPiece) {
      write_piece(file, from.data() + at, kCachedPiece, at, path);
    }
  });
}

std::vector<double> direct_write_times(const std::string& path, const WarmMemory& from,
                                       size_t bytes, double most_seconds) {
  ::unlink(path.c_str());
  const Descriptor file(path, O_WRONLY | O_CREAT | O_EXCL | O_DIRECT);
  (void)::fallocate(file, 0, 0, static_cast<off_t>(bytes));
  std::vector<double> times;
  double spent = 0;
  size_t at = 0;
  for (; at < bytes && spent < most_seconds; at += kPiece) {
    times.push_back(
        seconds([&] { write_piece(file, from.data() + at % from.size(), kPiece, at, path); }));
    spent += times.back();
  }
  if (::ftruncate(file, static_cast<off_t>(at)) != 0) fail("cannot shorten " + path);
  return times;
}

std::vector<double> fsync_times(const std::string& path, int times) {
  const std::string page(4096, 'x');
  const Descriptor file(path, O_WRONLY | O_CREAT | O_TRUNC);
  std::vector<double> found;
  for (int i = 0; i < times; ++i) {
    found.push_back(seconds([&] {
      write_piece(file, page.data(), page.size(), i * page.size(), path);
      if (::fsync(file) != 0) fail("cannot sync " + path);
    }));
  }
  return found;
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

void sync_file_system(const std::string& path) {
  const Descriptor folder(path, O_RDONLY);
  if (::syncfs(folder) != 0) fail("cannot sync the file system of " + path);
}

}  // namespace bench
