#pragma once

#include "manager/save_result.h"

#include <functional>
#include <memory>
#include <thread>

#include <sys/types.h>

namespace checkpoint::manager {

/// The thread that runs asynchronous saves, one at a time. Its priority is low, so that training
/// keeps its cores. Not thread-safe, except for the result that `last` returns.
class Background {
 public:
  /// Waits for the running save.
  ~Background();

  /// Runs `work` on the thread and then ends `result`. Waits for an earlier save first. If the
  /// system cannot start a thread, runs `work` before it returns.
  void start(std::shared_ptr<internal::SaveResult> result, std::function<void()> work);
  /// Returns whether a save is running.
  bool busy() const { return last_ && !last_->done(); }
  /// Waits until no save is running. Never throws the error of a save.
  void wait() noexcept;
  /// Throws the error of the last save, if it has not been reported yet.
  void throw_failure() {
    if (last_) last_->rethrow_once();
  }
  /// Returns the save that was started last; null before the first one.
  std::shared_ptr<internal::SaveResult> last() const { return last_; }
  /// Records a synchronous save that has ended as the last one.
  void note(std::shared_ptr<internal::SaveResult> result) { last_ = std::move(result); }

  /// Returns whether this is a forked child of the process that started the thread. The child does
  /// not have the thread.
  bool is_in_child() const;

 private:
  std::thread thread_;
  pid_t process_ = 0;
  std::shared_ptr<internal::SaveResult> last_;
};

}  // namespace checkpoint::manager
