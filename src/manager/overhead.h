#pragma once

#include <checkpoint/manager_options.h>

#include <algorithm>
#include <cstdint>

namespace checkpoint::manager {

/// Decides how often to save, so that saving takes at most a share of the training's time (the rule
/// of CheckFreq, FAST '21). The cost of a save is measured. It is the time that training waits for
/// it, plus the time that training steps lose while it runs in the background. Not thread-safe.
class Overhead {
 public:
  using Seconds = CheckpointManagerOptions::Seconds;

  /// Uses the share and the limits of `options.max_overhead`.
  explicit Overhead(const CheckpointManagerOptions& options)
      : share_(options.max_overhead()),
        least_(options.max_overhead_least()),
        most_(options.max_overhead_most()) {}

  bool wanted() const { return share_ > 0; }

  /// Call this in each step with the current step and time. `busy`: a save is running.
  void note_step(int64_t step, Seconds now, bool busy) {
    const int64_t steps = step - step_;
    if (steps <= 0) return;
    const Seconds each = (now - time_) / static_cast<double>(steps);
    const bool beside = busy || was_busy_;
    if (time_ != Seconds::zero() && !beside) {
      alone_ = alone_ == Seconds::zero() ? each : alone_ * (1 - kNew) + each * kNew;
    } else if (time_ != Seconds::zero() && alone_ != Seconds::zero()) {
      cost_ += std::max(Seconds::zero(), each - alone_) * static_cast<double>(steps);
    }
    was_busy_ = busy;
    step_ = step;
    time_ = now;
  }

  /// Call this after a save for which training waited `stall`, until `now`. `busy`: it is still
  /// running.
  void note_save(int64_t step, Seconds stall, Seconds now, bool busy) {
    cost_ = stall;
    step_ = step;
    time_ = now;
    was_busy_ = busy;
  }

  /// Returns how long after the last save the next one is due.
  Seconds interval() const { return std::clamp(Seconds(cost_ / share_), least_, most_); }

 private:
  static constexpr double kNew = 0.1;  // The weight of a new step in the moving mean.

  const double share_;
  const Seconds least_;
  const Seconds most_;
  int64_t step_ = 0;
  Seconds time_ = Seconds::zero();   // When training was at `step_`.
  Seconds alone_ = Seconds::zero();  // One step while no save runs.
  Seconds cost_ = Seconds::zero();   // Of the last save.
  bool was_busy_ = false;
};

}  // namespace checkpoint::manager
