#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace checkpoint::base {

/// A thread that runs tasks, one after the other. The first task starts it. If the system cannot
/// start a thread, `push` runs each task itself. After a task has thrown, the rest are dropped.
/// Only one thread at a time may call `push`.
class Worker {
 public:
  using Task = std::function<void()>;

  /// Makes a worker whose `push` waits while unfinished tasks hold more than `most_bytes` together.
  explicit Worker(size_t most_bytes) : most_bytes_(most_bytes) {}
  /// Drops the tasks that have not begun.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Adds a task. `bytes` is the memory that it holds. Throws what an earlier task threw.
  void push(Task task, size_t bytes);
  /// Waits until all tasks are done. Throws what a task threw.
  void finish();
  /// Returns whether the thread runs.
  bool started() const { return started_; }

 private:
  struct Entry {
    Task task;
    size_t bytes;
  };

  bool start();
  void run();
  void stop() noexcept;

  const size_t most_bytes_;
  bool started_ = false;
  std::thread thread_;
  std::mutex mutex_;  // Guards what follows.
  std::condition_variable changed_;
  std::deque<Entry> tasks_;
  size_t bytes_ = 0;  // Held by all tasks that are not done.
  bool busy_ = false;
  bool stopping_ = false;
  std::exception_ptr failure_;
};

}  // namespace checkpoint::base
