#pragma once

#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

namespace checkpoint::state {

/// A block of memory that each snapshot uses again. All its address space is reserved once, which
/// costs nothing. `reserve` makes the pages usable, huge ones if the system has them. `prefault`
/// fetches the pages in the background, so that a copy into them does not wait. Not thread-safe.
class Arena {
 public:
  Arena() = default;
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// Starts to fetch the pages of the first `bytes` bytes, in threads of low priority, one for each
  /// core. Never throws.
  void prefault(size_t bytes) noexcept;
  /// Returns memory of `bytes` bytes, valid until the next call. It may have moved, and its content
  /// is undefined. Throws std::bad_alloc.
  char* reserve(size_t bytes);
  /// Gives all memory back to the system.
  void release() noexcept;
  /// Call this in a forked child, which does not have the threads, before the destructor.
  void forget_threads() noexcept;
  size_t size() const { return usable_; }

 private:
  void grow(size_t bytes);
  void map(size_t bytes);
  void fetch_pages(size_t pages);
  void stop_prefaulting() noexcept;

  char* base_ = nullptr;
  size_t reserved_ = 0;  // Bytes of address space.
  size_t usable_ = 0;    // The accessible part of them.
  std::vector<std::thread> prefaulting_;
  std::atomic<size_t> next_page_{0};
  std::atomic<bool> stopping_{false};
};

}  // namespace checkpoint::state
