#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace checkpoint::base {

/// Lets so many threads at a time do something, as C++20's std::counting_semaphore does.
/// Thread-safe.
class Semaphore {
 public:
  explicit Semaphore(size_t permits) : permits_(permits) {}

  /// Waits for a permit.
  void acquire() {
    std::unique_lock<std::mutex> lock(mutex_);
    released_.wait(lock, [&] { return permits_ > 0; });
    --permits_;
  }
  void release() {
    const std::lock_guard<std::mutex> hold(mutex_);
    ++permits_;
    released_.notify_one();
  }

 private:
  std::mutex mutex_;
  std::condition_variable released_;
  size_t permits_;
};

/// Has a permit as long as it lives. The semaphore must outlive it.
class Permit {
 public:
  explicit Permit(Semaphore& semaphore) : semaphore_(semaphore) { semaphore_.acquire(); }
  ~Permit() { semaphore_.release(); }
  Permit(const Permit&) = delete;
  Permit& operator=(const Permit&) = delete;

 private:
  Semaphore& semaphore_;
};

}  // namespace checkpoint::base
