#pragma once

#include <checkpoint/manager.h>
#include <checkpoint/progress.h>

#include <cstdint>

namespace checkpoint::manager {

/// When a save is due. Not thread-safe.
class Triggers {
 public:
  explicit Triggers(const CheckpointManagerOptions& options)
      : every_n_epochs_(options.every_n_epochs()), every_n_steps_(options.every_n_steps()) {}

  bool due(const Progress& progress) const { return epoch_due(progress) || step_due(progress); }
  /// To be told of each save and restore: what was saved is not due again.
  void note(const Progress& progress) {
    if (progress.epoch_done) last_epoch_ = progress.epoch;
    last_step_ = progress.step;
  }

 private:
  bool epoch_due(const Progress& progress) const {
    return every_n_epochs_ > 0 && progress.epoch_done &&
           (progress.epoch + 1) % every_n_epochs_ == 0 && progress.epoch != last_epoch_;
  }
  // Steps may be counted by more than one between two calls.
  bool step_due(const Progress& progress) const {
    return every_n_steps_ > 0 && progress.step / every_n_steps_ > last_step_ / every_n_steps_;
  }

  int64_t every_n_epochs_;
  int64_t every_n_steps_;
  int64_t last_epoch_ = -1;
  int64_t last_step_ = 0;
};

}  // namespace checkpoint::manager
