#pragma once

#include <condition_variable>
#include <mutex>

namespace test {

/// Counts the saves of one thread, for others that wait for some of them. Thread-safe.
class SaveCount {
 public:
  /// The saving thread calls it after each save.
  void note() {
    const std::lock_guard<std::mutex> hold(mutex_);
    ++saves_;
    changed_.notify_all();
  }
  /// Ends all waiting: no further save will come.
  void end() {
    const std::lock_guard<std::mutex> hold(mutex_);
    ended_ = true;
    changed_.notify_all();
  }
  /// Waits until so many more saves have ended, or until the end.
  void wait_for_saves(int more) {
    std::unique_lock<std::mutex> lock(mutex_);
    const int wanted = saves_ + more;
    changed_.wait(lock, [&] { return ended_ || saves_ >= wanted; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int saves_ = 0;
  bool ended_ = false;
};

}  // namespace test
