#pragma once

#include "base/clock.h"
#include "base/user_call.h"
#include "manager/overhead.h"

#include <checkpoint/manager_options.h>
#include <checkpoint/progress.h>

#include <cstdint>
#include <functional>
#include <utility>

namespace checkpoint::manager {

/// Decides when a save is due. Not thread-safe.
class Triggers {
 public:
  /// A monotonic clock.
  using Clock = std::function<CheckpointManagerOptions::Seconds()>;

  explicit Triggers(const CheckpointManagerOptions& options, Clock clock = base::monotonic_now)
      : every_n_epochs_(options.every_n_epochs()),
        every_n_steps_(options.every_n_steps()),
        every_(options.every()),
        when_(options.when()),
        overhead_(options),
        clock_(std::move(clock)),
        last_time_(clock_()) {}

  /// Returns whether any trigger is due. `busy`: a save is running in the background.
  bool due(const Progress& progress, bool busy = false) {
    const Due due = ask(progress, busy);
    return due.common || due.own;
  }

  /// What several ranks must know of a trigger that is due.
  struct Due {
    bool common;  ///< By epoch or step, which is the same on all ranks.
    bool own;     ///< By time, a function or the cost of saves, which each rank sees otherwise.
  };
  Due ask(const Progress& progress, bool busy) {
    if (overhead_.wanted()) overhead_.note_step(progress.step, clock_(), busy);
    // The program has set the step back, against the rules. An extra save is better than none for
    // an epoch.
    if (progress.step < seen_step_) last_step_ = 0;
    seen_step_ = progress.step;
    // Always called: a function that compares with earlier values must see every step.
    const bool wanted = any_wants(progress);
    return {epoch_due(progress) || step_due(progress), wanted || time_due()};
  }
  /// Call this after each save and restore, so that the same point is not due again.
  void note(const Progress& progress) {
    if (progress.epoch_done) last_epoch_ = progress.epoch;
    last_step_ = progress.step;
    seen_step_ = progress.step;
    last_time_ = clock_();
  }
  /// Does the same after a save for which training waited since `begin`. `busy`: it is still
  /// running.
  void note_save(const Progress& progress, CheckpointManagerOptions::Seconds begin, bool busy) {
    note(progress);
    overhead_.note_save(progress.step, last_time_ - begin, last_time_, busy);
  }
  CheckpointManagerOptions::Seconds now() const { return clock_(); }

 private:
  bool epoch_due(const Progress& progress) const {
    return every_n_epochs_ > 0 && progress.epoch_done &&
           (progress.epoch + 1) % every_n_epochs_ == 0 && progress.epoch != last_epoch_;
  }
  // The step may grow by more than one between two calls.
  bool step_due(const Progress& progress) const {
    return every_n_steps_ > 0 && progress.step / every_n_steps_ > last_step_ / every_n_steps_;
  }
  bool time_due() const {
    if (every_.count() <= 0 && !overhead_.wanted()) return false;
    const CheckpointManagerOptions::Seconds passed = clock_() - last_time_;
    return (every_.count() > 0 && passed >= every_) ||
           (overhead_.wanted() && passed >= overhead_.interval());
  }
  bool any_wants(const Progress& progress) const {
    bool wanted = false;
    for (const auto& function : when_) {
      wanted =
          base::call_user("a function given to when", [&] { return function(progress); }) || wanted;
    }
    return wanted;
  }

  int64_t every_n_epochs_;
  int64_t every_n_steps_;
  CheckpointManagerOptions::Seconds every_;
  std::vector<CheckpointManagerOptions::When> when_;
  Overhead overhead_;
  Clock clock_;
  int64_t last_epoch_ = -1;
  int64_t last_step_ = 0;  // At the last save.
  int64_t seen_step_ = 0;  // At the last call.
  CheckpointManagerOptions::Seconds last_time_;
};

}  // namespace checkpoint::manager
