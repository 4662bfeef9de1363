#pragma once

#include <atomic>
#include <cstddef>
#include <thread>

namespace checkpoint::state {

/// One piece of memory that is used again by each snapshot. Its address space is reserved at once
/// and costs nothing; pages come with `reserve`, huge ones where the system has some, and are
/// fetched in the background so that a copy into them does not have to wait for them. Not
/// thread-safe.
class Arena {
 public:
  Arena() = default;
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// Starts to fetch the pages of the first `bytes` bytes, in a thread of low priority. A hint:
  /// never throws.
  void prefault(size_t bytes) noexcept;
  /// Memory of `bytes` bytes, valid until the next call. It may have moved, and what is in it is
  /// undefined. Throws std::bad_alloc.
  char* reserve(size_t bytes);
  /// Gives all memory back to the system.
  void release() noexcept;
  /// In a forked child, where the thread does not exist.
  void forget_thread() noexcept;
  size_t size() const { return usable_; }

 private:
  void grow(size_t bytes);
  void map(size_t bytes);
  void stop_prefaulting() noexcept;

  char* base_ = nullptr;
  size_t reserved_ = 0;  // Address space.
  size_t usable_ = 0;    // Of which this much may be used.
  std::thread prefaulting_;
  std::atomic<bool> stopping_{false};
};

}  // namespace checkpoint::state
