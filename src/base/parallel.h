#pragma once

#include "base/threads.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace checkpoint::base {

/// The indices of a parallel loop, handed out one by one, so that a slow thread does not delay the
/// others.
class Indices {
 public:
  explicit Indices(size_t end) : Indices(0, end) {}
  Indices(size_t begin, size_t end) : end_(end), next_(begin) {}
  /// Takes the next index. Returns false if none is left.
  bool next(size_t& index) {
    index = next_.fetch_add(1, std::memory_order_relaxed);
    return index < end_;
  }
  /// The number after the last index.
  size_t end() const { return end_; }
  /// Ends the loop after a failure: `next` then returns false.
  void stop() { next_.store(end_, std::memory_order_relaxed); }

 private:
  const size_t end_;
  std::atomic<size_t> next_;
};

/// Returns the number of cores, at most 16.
inline size_t thread_count() {
  // The standard library reads a file of the system for it.
  static const size_t count = std::min(16u, std::max(1u, std::thread::hardware_concurrency()));
  return count;
}

/// Calls `work(Indices&)` on up to `most_threads` threads, this one included. They share the items
/// from `begin` to `end`. Returns when all are done, and rethrows the first exception. These are
/// plain threads: the store does not know LibTorch's pool, and its settings stay the training's
/// own.
template <typename Work>
void parallel_for(size_t begin, size_t end, size_t most_threads, const Work& work) {
  Indices indices(begin, end);
  std::mutex mutex;
  std::exception_ptr failure;
  const auto guarded = [&] {
    try {
      work(indices);
    } catch (...) {
      indices.stop();
      const std::lock_guard<std::mutex> hold(mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  std::vector<std::thread> others;
  const size_t threads = std::min(most_threads, end - begin);
  others.reserve(threads);
  try {
    while (others.size() + 1 < threads) others.push_back(start_thread(guarded));
  } catch (const std::system_error&) {
    // The system gave fewer threads than we asked for. The others do more each.
  }
  guarded();
  for (std::thread& thread : others) thread.join();
  if (failure) std::rethrow_exception(failure);
}

/// The same with `count` items, and as many threads as the machine has cores.
template <typename Work>
void parallel_for(size_t count, const Work& work) {
  parallel_for(0, count, thread_count(), work);
}

/// Calls `other` on a thread of its own while this thread calls `own`. Returns when both are done.
/// Rethrows the exception of `own`, or else that of `other`.
template <typename Other, typename Own>
void side_by_side(const Other& other, const Own& own) {
  std::exception_ptr failure;
  std::thread thread;
  try {
    thread = start_thread([&] {
      try {
        other();
      } catch (...) {
        failure = std::current_exception();
      }
    });
  } catch (const std::system_error&) {  // The system cannot start a thread.
    own();
    other();
    return;
  }
  try {
    own();
  } catch (...) {
    thread.join();
    throw;
  }
  thread.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace checkpoint::base
