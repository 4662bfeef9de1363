#include "base/worker.h"

#include "base/threads.h"

#include <system_error>
#include <utility>

namespace checkpoint::base {

Worker::~Worker() { stop(); }

void Worker::push(Task task, size_t bytes) {
  if (!started_ && !start()) {
    task();
    return;
  }
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [&] { return bytes_ == 0 || bytes_ + bytes <= most_bytes_ || failure_; });
  if (failure_) std::rethrow_exception(failure_);
  bytes_ += bytes;
  tasks_.push_back({std::move(task), bytes});
  changed_.notify_all();
}

void Worker::finish() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [&] { return tasks_.empty() && !busy_; });
  if (failure_) std::rethrow_exception(failure_);
}

bool Worker::start() {
  try {
    thread_ = start_thread([this] { run(); });
    started_ = true;
  } catch (const std::system_error&) {
    // Slower, but not a reason to fail: `push` then runs the task itself.
  }
  return started_;
}

void Worker::run() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return stopping_ || !tasks_.empty(); });
    if (stopping_) return;
    Entry entry = std::move(tasks_.front());
    tasks_.pop_front();
    busy_ = true;
    const bool wanted = !failure_;
    lock.unlock();
    std::exception_ptr failure;
    try {
      if (wanted) entry.task();
    } catch (...) {
      failure = std::current_exception();
    }
    entry.task = nullptr;
    lock.lock();
    busy_ = false;
    bytes_ -= entry.bytes;
    if (failure) failure_ = failure;
    changed_.notify_all();
  }
}

void Worker::stop() noexcept {
  if (!started_) return;
  {
    const std::lock_guard<std::mutex> hold(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

}  // namespace checkpoint::base
