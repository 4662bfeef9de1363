#pragma once

#include "manager/save_result.h"

#include <functional>
#include <memory>
#include <thread>

#include <sys/types.h>

namespace checkpoint::manager {

/// The thread that runs asynchronous saves, one at a time, at low priority: training keeps its
/// cores. Not thread-safe, except for what `last` gives.
class Background {
 public:
  /// Waits for the save in flight.
  ~Background();

  /// Carries out `work`, which ends `result`. Nothing may be in flight. Where the system gives no
  /// thread, it is done when this returns.
  void start(std::shared_ptr<internal::SaveResult> result, std::function<void()> work);
  /// Whether a save is in flight.
  bool busy() const { return last_ && !last_->done(); }
  /// Waits until nothing is in flight. Never throws what a save threw.
  void wait() noexcept;
  /// Throws the error of the last save, if it has not been reported yet.
  void throw_failure() {
    if (last_) last_->rethrow_once();
  }
  /// The save that was begun last; null if there was none.
  std::shared_ptr<internal::SaveResult> last() const { return last_; }
  /// A synchronous save ended: there is nothing to wait for.
  void note(std::shared_ptr<internal::SaveResult> result) { last_ = std::move(result); }

  /// Whether this is a forked child of the process that started the thread: it has no such thread.
  bool is_in_child() const;

 private:
  std::thread thread_;
  pid_t process_ = 0;
  std::shared_ptr<internal::SaveResult> last_;
};

}  // namespace checkpoint::manager
