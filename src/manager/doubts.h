#pragma once

#include <checkpoint/manager_options.h>
#include <checkpoint/progress.h>

#include <cstdint>

namespace checkpoint::manager {

/// Finds triggers that never come due, from what the program passes to `save_if_due`. Such a
/// program would train and never save. Not thread-safe.
class Doubts {
 public:
  explicit Doubts(const CheckpointManagerOptions& options);

  /// Call this in each `save_if_due`. Returns a warning to log, each only once, or null.
  const char* note(const Progress& progress);
  /// Call this after a restore: counts continue from another number.
  void note_restored() { has_last_ = false; }

 private:
  const char* note_steps(const Progress& progress);
  const char* note_epochs(const Progress& progress);

  bool no_trigger_;
  int64_t every_n_epochs_;  // 0: not set, or already warned about.
  int64_t every_n_steps_;   // The same.

  bool has_last_ = false;
  int64_t last_epoch_ = 0;  // Of the previous call.
  int64_t last_step_ = 0;
  bool has_stepped_ = false;      // Whether a step has ever moved.
  int64_t still_calls_ = 0;       // Calls until the first step moved, …
  int64_t still_epochs_ = 0;      // … and epochs.
  bool has_ended_epoch_ = false;  // Whether an epoch was ever done.
  int64_t open_epochs_ = 0;       // Epochs that passed until one was done.
  int64_t done_calls_ = 0;        // Calls in a row in which the same epoch was done.
};

}  // namespace checkpoint::manager
