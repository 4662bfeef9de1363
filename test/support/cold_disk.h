#pragma once

#include "store/io/file.h"
#include "support/faulty_file_system.h"

#include <fcntl.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <set>
#include <thread>

namespace test {

/// A disk whose files are not in the cache, with one way of reading slower than the other. Direct
/// reads also work where the real file system has none.
class ColdDisk final : public FaultyFileSystem {
 public:
  enum class Slow { kThroughCache, kPastCache };

  explicit ColdDisk(Slow slow) : slow_(slow) {}

  int is_cached(int, off_t) override {
    if (is_cached_) return 0;
    errno = EAGAIN;
    return -1;
  }
  int open(const char* path, int flags, mode_t mode) override {
    if ((flags & O_DIRECT) != 0 && !has_direct_) {
      errno = EINVAL;
      return -1;
    }
    const int fd = FaultyFileSystem::open(path, flags & ~O_DIRECT, mode);
    const std::lock_guard<std::mutex> hold(mutex_);
    if ((flags & O_DIRECT) != 0) direct_.insert(fd);
    return fd;
  }
  int close(int fd) override {
    const std::lock_guard<std::mutex> hold(mutex_);
    direct_.erase(fd);
    return FaultyFileSystem::close(fd);
  }
  ssize_t pread(int fd, void* to, size_t count, off_t offset) override {
    const bool is_direct = [&] {
      const std::lock_guard<std::mutex> hold(mutex_);
      return direct_.count(fd) != 0;
    }();
    const bool is_slow = is_direct == (slow_ == Slow::kPastCache);
    if (is_slow || both_slow_) std::this_thread::sleep_for(per_byte_ * count);
    if (!is_direct) {
      through_cache += count;
      return FaultyFileSystem::pread(fd, to, count, offset);
    }
    past_cache += count;
    const bool is_aligned =
        reinterpret_cast<uintptr_t>(to) % checkpoint::store::kDirectAlignment == 0 &&
        count % checkpoint::store::kDirectAlignment == 0 &&
        offset % checkpoint::store::kDirectAlignment == 0;
    if (!is_aligned || is_broken_) {
      errno = is_aligned ? EIO : EINVAL;
      return -1;
    }
    return FaultyFileSystem::pread(fd, to, count, offset);
  }

  uint64_t read() const { return through_cache + past_cache; }

  std::atomic<uint64_t> through_cache{0};
  std::atomic<uint64_t> past_cache{0};
  std::chrono::nanoseconds per_byte_{10};  // Of the slow way: 0.1 GB/s.
  bool both_slow_ = false;
  bool is_cached_ = false;
  bool has_direct_ = true;
  bool is_broken_ = false;  // Every direct read fails.

 private:
  const Slow slow_;
  std::mutex mutex_;
  std::set<int> direct_;  // Under the mutex.
};

}  // namespace test
