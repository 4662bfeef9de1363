#pragma once

#include <checkpoint/export.h>
#include <checkpoint/format.h>
#include <checkpoint/keep.h>
#include <checkpoint/progress.h>
#include <checkpoint/transfer.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace checkpoint {

/// What `save_if_due` does while the save before is still in flight.
enum class OnBusy {
  kWait,  ///< Waits for its end, then saves.
  kSkip,  ///< Nothing: training goes on, and what is due by steps or time is so at the next call.
};

/// What a manager does by itself. Chained, as LibTorch's own options are.
class TORCH_CHECKPOINT_API CheckpointManagerOptions {
 public:
  using Seconds = std::chrono::duration<double>;
  using When = std::function<bool(const Progress&)>;

  // When `save_if_due` saves: as soon as any of these says so.

  /// When an epoch is done and (epoch + 1) % n == 0. 0 (default): never.
  CheckpointManagerOptions& every_n_epochs(int64_t n) { return set(every_n_epochs_, n); }
  /// When `step` has reached another multiple of n. 0 (default): never.
  CheckpointManagerOptions& every_n_steps(int64_t n) { return set(every_n_steps_, n); }
  /// When so much time has gone by since the last save, or since the start of this manager:
  /// `every(std::chrono::minutes(10))`. The system's clock may be set meanwhile. 0 (default):
  /// never.
  CheckpointManagerOptions& every(Seconds time) { return set(every_, time); }
  /// As often as saves take at most this share of training's time: 0.03 for 3 %. What they cost is
  /// measured: how long each keeps training waiting, and what steps lose beside one that goes on in
  /// the background. Never sooner than `least` after the last save, nor later than `most`.
  /// 0 (default): never.
  CheckpointManagerOptions& max_overhead(double share, Seconds least = std::chrono::seconds(60),
                                         Seconds most = std::chrono::hours(1)) {
    max_overhead_least_ = least;
    max_overhead_most_ = most;
    return set(max_overhead_, share);
  }
  /// When the function says so; it is called once in each `save_if_due`, and must not use the
  /// manager. May be called several times: each adds a function.
  CheckpointManagerOptions& when(When function) { return add(when_, std::move(function)); }
  /// When one of these signals (SIGTERM, …: <csignal> comes with this header) has come since: the
  /// next `save_if_due` saves, also in the middle of an epoch, and when that is on disk
  /// `should_stop` turns true. The handler counts and no more, but for `end_on_second_signal`. A
  /// handler that the program had before is called too, and put back when the last manager that
  /// listens is destroyed. docs/preemption.md.
  CheckpointManagerOptions& stop_on_signal(std::vector<int> signals) {
    return set(stop_on_signal_, std::move(signals));
  }
  /// The same without stopping: saves, and training goes on.
  CheckpointManagerOptions& save_on_signal(std::vector<int> signals) {
    return set(save_on_signal_, std::move(signals));
  }

  /// Which of `stop_on_signal`'s signals end the process at once when they come a second time, as
  /// they would without a manager: an impatient Ctrl-C. A save that this interrupts never happened.
  /// What follows within a quarter of a second is the same wish still: launchers pass on what the
  /// terminal has sent already. Where the program has a handler of its own for the signal, that
  /// decides, and nothing ends here. Default: {SIGINT}; {}: none does.
  CheckpointManagerOptions& end_on_second_signal(std::vector<int> signals) {
    return set(end_on_second_signal_, std::move(signals));
  }

  // What stays: the union of these; none: everything (docs/retention.md). The newest checkpoint,
  // pinned ones and the one that the run was resumed from stay in any case. Others are removed
  // after each save, once the new checkpoint is on disk.

  /// Replaces all keep_ rules, for instance by those of an earlier run:
  /// `options.keep(info.manifest.keep)`. Those set after this one change or add to them.
  CheckpointManagerOptions& keep(KeepRules rules) { return set(keep_, std::move(rules)); }
  /// The newest n. 0 (default): no such rule.
  CheckpointManagerOptions& keep_last(int64_t n) { return set(keep_.last, n); }
  /// The best k by a metric ("loss" is Progress::loss). May be called for several metrics; the
  /// first one is what `best` and the link "best" go by. Equal ones: the older is the better. NaN
  /// or missing ranks worst; while no checkpoint has the metric, all stay.
  CheckpointManagerOptions& keep_best(int64_t k, std::string metric, Mode mode) {
    return add(keep_.best, BestRule{k, std::move(metric), mode});
  }
  /// The first one that is saved when n, 2n, 3n, … epochs are done. 0 (default): no such rule.
  CheckpointManagerOptions& keep_every_n_epochs(int64_t n) { return set(keep_.every_n_epochs, n); }
  /// The first one that is saved when n, 2n, 3n, … steps are done. 0 (default): no such rule.
  CheckpointManagerOptions& keep_every_n_steps(int64_t n) { return set(keep_.every_n_steps, n); }
  /// The first one, and each that was saved so much later than the one before:
  /// `keep_every(std::chrono::hours(6))`. 0 (default): no such rule.
  CheckpointManagerOptions& keep_every(Seconds time) { return set(keep_.every, time); }
  /// Those for which the function returns true. It must not use the manager; if it throws, nothing
  /// is removed. May be called several times: each adds a function.
  CheckpointManagerOptions& keep_if(KeepRules::Predicate function) {
    return add(keep_.predicates, std::move(function));
  }
  /// Before the last checkpoint that is known to read back well is removed, the new one is read
  /// back from the disk. Default: true; false saves that reading, and trusts the disk.
  CheckpointManagerOptions& verify_before_retire(bool value) {
    return set(verify_before_retire_, value);
  }

  /// How checkpoints are called, in fmt's syntax: {epoch}, {step}, {loss} and any metric, each with
  /// fmt's format specification ("{epoch:04d}-{val_accuracy:.4f}"). A missing metric reads "none".
  /// A name is a label, not an identity: an equal one gets "-v2". What no checkpoint can be called
  /// (blanks, slashes, "latest", a leading dot, ".corrupt" at its end) is changed so that it can.
  CheckpointManagerOptions& name(std::string name_template) {
    return set(name_, std::move(name_template));
  }
  /// What the file in each checkpoint is. kArchive (default): checkpoint.pt, for C++ and
  /// `torch.jit.load`. kPth: checkpoint.pth, for Python's `torch.load`; it takes any name, and time
  /// linear in the number of tensors. Checkpoints of both may stand in one directory. kSafetensors
  /// is refused.
  CheckpointManagerOptions& format(Format value) { return set(format_, value); }
  /// Whether a lock file keeps a second writer out. Default: true. For file systems without flock.
  CheckpointManagerOptions& lock(bool value) { return set(lock_, value); }
  /// Only looks and restores, beside the process that trains: makes no file, takes no lock, renames
  /// nothing; `save`, `pin`, `unpin` and `prune` throw. Default: false.
  CheckpointManagerOptions& read_only(bool value) { return set(read_only_, value); }

  /// Whether saves are asynchronous: `save` returns when a consistent snapshot of the State is
  /// taken, and one background thread writes it, and removes what no rule keeps (functions given to
  /// keep_if are called there), while training goes on. Default: false.
  CheckpointManagerOptions& async(bool value) { return set(async_, value); }
  /// Of asynchronous saves: one at a time is in flight. Default: kWait. An explicit `save`, and one
  /// that a signal asked for, always wait.
  CheckpointManagerOptions& on_busy(OnBusy value) { return set(on_busy_, value); }
  /// Of asynchronous saves: a State with more bytes than this in CPU memory is saved synchronously
  /// instead. 0 (default): a snapshot may take what it needs.
  CheckpointManagerOptions& snapshot_limit(uint64_t bytes) { return set(snapshot_limit_, bytes); }
  /// Is told how far a save has come.
  CheckpointManagerOptions& on_transfer(OnTransfer function) {
    return set(on_transfer_, std::move(function));
  }

  int64_t every_n_epochs() const { return every_n_epochs_; }
  int64_t every_n_steps() const { return every_n_steps_; }
  Seconds every() const { return every_; }
  double max_overhead() const { return max_overhead_; }
  Seconds max_overhead_least() const { return max_overhead_least_; }
  Seconds max_overhead_most() const { return max_overhead_most_; }
  const std::vector<When>& when() const { return when_; }
  const std::vector<int>& stop_on_signal() const { return stop_on_signal_; }
  const std::vector<int>& save_on_signal() const { return save_on_signal_; }
  const std::vector<int>& end_on_second_signal() const { return end_on_second_signal_; }
  const KeepRules& keep() const { return keep_; }
  bool verify_before_retire() const { return verify_before_retire_; }
  const std::string& name() const { return name_; }
  Format format() const { return format_; }
  bool lock() const { return lock_; }
  bool read_only() const { return read_only_; }
  bool async() const { return async_; }
  OnBusy on_busy() const { return on_busy_; }
  uint64_t snapshot_limit() const { return snapshot_limit_; }
  const OnTransfer& on_transfer() const { return on_transfer_; }

 private:
  template <typename T>
  CheckpointManagerOptions& set(T& field, T value) {
    field = std::move(value);
    return *this;
  }
  template <typename T>
  CheckpointManagerOptions& add(std::vector<T>& field, T value) {
    field.push_back(std::move(value));
    return *this;
  }

  int64_t every_n_epochs_ = 0;
  int64_t every_n_steps_ = 0;
  Seconds every_ = Seconds::zero();
  double max_overhead_ = 0;
  Seconds max_overhead_least_ = Seconds::zero();
  Seconds max_overhead_most_ = Seconds::zero();
  std::vector<When> when_;
  std::vector<int> stop_on_signal_;
  std::vector<int> save_on_signal_;
  std::vector<int> end_on_second_signal_ = {SIGINT};
  KeepRules keep_;
  std::string name_ = "epoch{epoch:04d}-step{step:08d}";
  bool verify_before_retire_ = true;
  Format format_ = Format::kArchive;
  bool lock_ = true;
  bool read_only_ = false;
  bool async_ = false;
  OnBusy on_busy_ = OnBusy::kWait;
  uint64_t snapshot_limit_ = 0;
  OnTransfer on_transfer_;
};

}  // namespace checkpoint
