#pragma once

#include <checkpoint/error.h>

#include <condition_variable>
#include <exception>
#include <mutex>
#include <string>
#include <utility>

#include <unistd.h>

namespace checkpoint::internal {

/// The result of a save, which may still be running. Thread-safe.
class SaveResult {
 public:
  explicit SaveResult(std::string name) : name_(std::move(name)) {}

  const std::string& name() const { return name_; }

  /// Marks the save as ended. `failure` is null if it succeeded.
  void end(std::exception_ptr failure) {
    const std::lock_guard<std::mutex> hold(mutex_);
    done_ = true;
    failure_ = std::move(failure);
    changed_.notify_all();
  }
  bool done() const {
    const std::lock_guard<std::mutex> hold(mutex_);
    return done_;
  }
  /// Returns whether it has ended with a failure.
  bool failed() const {
    const std::lock_guard<std::mutex> hold(mutex_);
    return failure_ != nullptr;
  }
  /// Waits for the end. Throws Error(invalid_argument) in a forked child, which does not have the
  /// thread that saves.
  void wait() const {
    std::unique_lock<std::mutex> lock(mutex_);
    if (!done_ && process_ != ::getpid()) {
      throw Error(ErrorCode::kInvalidArgument,
                  "the save of checkpoint '" + name_ +
                      "' runs in the parent process; a forked child cannot wait for it");
    }
    changed_.wait(lock, [&] { return done_; });
  }
  /// Throws the save's error, if it has one, and remembers that the error was reported.
  void rethrow() {
    const std::lock_guard<std::mutex> hold(mutex_);
    reported_ = true;
    if (failure_) std::rethrow_exception(failure_);
  }
  /// Does the same, but only if the error has not been reported before.
  void rethrow_once() {
    {
      const std::lock_guard<std::mutex> hold(mutex_);
      if (reported_ || !failure_) return;
    }
    rethrow();
  }

 private:
  const std::string name_;
  const pid_t process_ = ::getpid();
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  bool done_ = false;
  bool reported_ = false;
  std::exception_ptr failure_;
};

}  // namespace checkpoint::internal
