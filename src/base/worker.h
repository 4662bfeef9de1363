#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace checkpoint::base {

/// A thread that carries out tasks, one after the other. It is started by the first task; where the
/// system gives no thread, tasks are carried out by who brings them. After a task has thrown, the
/// rest are dropped. One thread at a time may bring tasks.
class Worker {
 public:
  using Task = std::function<void()>;

  /// `push` waits while tasks that hold more than `most_bytes` together are outstanding.
  explicit Worker(size_t most_bytes) : most_bytes_(most_bytes) {}
  /// Drops the tasks that were not begun.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// `bytes` is the memory that the task holds. Throws what an earlier task threw.
  void push(Task task, size_t bytes);
  /// Waits until all is done. Throws what a task threw.
  void finish();
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
  size_t bytes_ = 0;  // Of all tasks that are not done.
  bool busy_ = false;
  bool stopping_ = false;
  std::exception_ptr failure_;
};

}  // namespace checkpoint::base
