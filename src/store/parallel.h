#pragma once

#include <algorithm>
#include <cstddef>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace checkpoint::store {

/// Calls `work(first, stride)` once on each of as many threads as there are cores (at most `items`
/// and 16); thread i takes items i, i + stride, …. Returns when all are done; rethrows the first
/// exception of any of them. Plain threads: the store does not know LibTorch's pool, and shares no
/// settings with the training.
template <typename Work>
void parallel_for(size_t items, const Work& work) {
  const size_t cores = std::max(1u, std::thread::hardware_concurrency());
  const size_t threads = std::min({cores, items, size_t{16}});
  if (threads <= 1) {
    work(size_t{0}, size_t{1});
    return;
  }
  std::mutex mutex;
  std::exception_ptr failure;
  const auto guarded = [&](size_t first) {
    try {
      work(first, threads);
    } catch (...) {
      const std::lock_guard<std::mutex> hold(mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  std::vector<std::thread> pool;
  pool.reserve(threads - 1);
  try {
    for (size_t i = 1; i < threads; ++i) pool.emplace_back(guarded, i);
  } catch (...) {
    // The system gave fewer threads than hoped for: their share is done here, below.
  }
  const size_t started = pool.size();
  guarded(0);
  for (size_t i = started + 1; i < threads; ++i) guarded(i);
  for (std::thread& thread : pool) thread.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace checkpoint::store
