#pragma once

#include <checkpoint/manager_options.h>
#include <checkpoint/progress.h>

#include <cstdint>

namespace checkpoint::manager {

/// Notices, from the calls of `save_if_due`, triggers that cannot come due as the program counts:
/// it would train, and never save. Not thread-safe.
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
  int64_t every_n_epochs_;  // 0: nothing more to be said of it.
  int64_t every_n_steps_;   // The same.

  bool has_last_ = false;
  int64_t last_epoch_ = 0;  // Of the call before.
  int64_t last_step_ = 0;
  bool has_stepped_ = false;      // Whether a step has ever moved.
  int64_t still_calls_ = 0;       // While none had: how many calls, …
  int64_t still_epochs_ = 0;      // … and how many epochs.
  bool has_ended_epoch_ = false;  // Whether an epoch was ever done.
  int64_t open_epochs_ = 0;       // While none was: how many went by.
  int64_t done_calls_ = 0;        // How often in a row the same epoch was done.
};

}  // namespace checkpoint::manager
