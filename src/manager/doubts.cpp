// Warnings about triggers that never come due. Each call of `save_if_due` is compared with the one
// before: does the step change, does the epoch change, does an epoch ever end? If not for long
// enough, the warning says which option waits for what.

#include "manager/doubts.h"

#include <algorithm>

namespace checkpoint::manager {
namespace {

constexpr char kNoTrigger[] =
    "save_if_due never saves: no trigger is set. Set every_n_epochs(n), every_n_steps(n), "
    "every(time) or when(function), or call save.";
constexpr char kStepsStill[] =
    "every_n_steps never saves: Progress::step does not change. Increase it with each step of the "
    "optimizer, or set every_n_epochs(n) or every(time).";
constexpr char kStepsBack[] =
    "Progress::step went back, so every_n_steps(n) may never count n steps. Count the steps of all "
    "epochs: do not set it to 0 when an epoch begins.";
constexpr char kNeverDone[] =
    "every_n_epochs never saves: no epoch is done. Set Progress::epoch_done to true when one ends, "
    "or set every_n_steps(n) or every(time).";
constexpr char kEpochStill[] =
    "every_n_epochs saves once for each epoch, but 100 calls of save_if_due had the same "
    "Progress::epoch, with epoch_done true. Set epoch in the loop, and set epoch_done to true only "
    "when an epoch ends.";

// A loop that has just begun, or that accumulates gradients over several batches, may make a few
// such calls rightly.
constexpr int64_t kManyCalls = 100;
constexpr int64_t kManyEpochs = 2;

bool has_trigger(const CheckpointManagerOptions& options) {
  return options.every_n_epochs() > 0 || options.every_n_steps() > 0 ||
         options.every().count() > 0 || options.max_overhead() > 0 || !options.when().empty() ||
         !options.stop_on_signal().empty() || !options.save_on_signal().empty();
}

}  // namespace

Doubts::Doubts(const CheckpointManagerOptions& options)
    : no_trigger_(!has_trigger(options)),
      every_n_epochs_(options.every_n_epochs()),
      every_n_steps_(options.every_n_steps()) {}

const char* Doubts::note(const Progress& progress) {
  if (no_trigger_) {
    no_trigger_ = false;
    return kNoTrigger;
  }
  const char* steps = every_n_steps_ > 0 ? note_steps(progress) : nullptr;
  if (steps != nullptr) every_n_steps_ = 0;
  const char* epochs = every_n_epochs_ > 0 ? note_epochs(progress) : nullptr;
  if (epochs != nullptr) every_n_epochs_ = 0;
  has_last_ = true;
  last_epoch_ = progress.epoch;
  last_step_ = progress.step;
  return steps != nullptr ? steps : epochs;
}

const char* Doubts::note_steps(const Progress& progress) {
  if (!has_last_) return nullptr;
  if (progress.step < last_step_) return kStepsBack;
  if (has_stepped_ || progress.step != last_step_) {
    has_stepped_ = true;
    return nullptr;
  }
  still_calls_ += 1;
  if (progress.epoch != last_epoch_) still_epochs_ += 1;
  const bool still =
      still_epochs_ >= kManyEpochs || still_calls_ >= std::max(kManyCalls, every_n_steps_);
  return still ? kStepsStill : nullptr;
}

const char* Doubts::note_epochs(const Progress& progress) {
  const bool moved = has_last_ && progress.epoch != last_epoch_;
  if (!progress.epoch_done) {
    done_calls_ = 0;
    if (moved && !has_ended_epoch_) open_epochs_ += 1;
    return open_epochs_ >= std::max(kManyEpochs, every_n_epochs_) ? kNeverDone : nullptr;
  }
  has_ended_epoch_ = true;
  open_epochs_ = 0;
  done_calls_ = moved ? 0 : done_calls_ + 1;
  return done_calls_ >= kManyCalls ? kEpochStill : nullptr;
}

}  // namespace checkpoint::manager
