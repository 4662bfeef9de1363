#pragma once

#include <checkpoint/coordinator.h>
#include <checkpoint/export.h>
#include <checkpoint/format.h>
#include <checkpoint/keep.h>
#include <checkpoint/progress.h>
#include <checkpoint/transfer.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace checkpoint {

/// What `save_if_due` does while an asynchronous save is running.
enum class OnBusy {
  kWait,  ///< Waits until it has finished, then saves.
  kSkip,  ///< Does not save. A save that is due by steps or time stays due for the next call.
};

/// The options of a CheckpointManager. Calls can be chained, as with LibTorch's own options.
class TORCH_CHECKPOINT_API CheckpointManagerOptions {
 public:
  /// A time span in seconds, also made from std::chrono::minutes and the like.
  using Seconds = std::chrono::duration<double>;
  /// A function of your own that decides whether a save is due.
  using When = std::function<bool(const Progress&)>;

  /// @name When save_if_due saves
  /// A save is due as soon as one of these triggers is.
  /// @{

  /// Saves when an epoch is done and (epoch + 1) % n == 0. Default: 0, never.
  CheckpointManagerOptions& every_n_epochs(int64_t n) { return set(every_n_epochs_, n); }
  /// Saves when `step` has reached another multiple of n. Default: 0, never.
  CheckpointManagerOptions& every_n_steps(int64_t n) { return set(every_n_steps_, n); }
  /// Saves once `time` has passed since the last save, or since this manager was created:
  /// `every(std::chrono::minutes(10))`. Uses a monotonic clock, so changing the system time has no
  /// effect. Default: 0, never.
  CheckpointManagerOptions& every(Seconds time) { return set(every_, time); }
  /// Saves as often as possible while saving takes at most `share` of the training time: 0.03 is
  /// 3 %. The cost of a save is measured: how long training waits for it, and how much slower steps
  /// are while it runs in the background. Never saves sooner than `least` after the last save, nor
  /// later than `most`. Default: 0, never.
  CheckpointManagerOptions& max_overhead(double share, Seconds least = std::chrono::seconds(60),
                                         Seconds most = std::chrono::hours(1)) {
    max_overhead_least_ = least;
    max_overhead_most_ = most;
    return set(max_overhead_, share);
  }
  /// Saves when the function returns true. It is called once in each `save_if_due`, and must not
  /// use the manager. Each call of `when` adds a function.
  CheckpointManagerOptions& when(When function) { return add(when_, std::move(function)); }
  /// Saves when one of these signals has arrived (SIGTERM, …; this header includes csignal): the
  /// next `save_if_due` saves, also in the middle of an epoch. Once that checkpoint is on disk,
  /// `should_stop` returns true. The handler only counts, except for `end_on_second_signal`. If the
  /// program had a handler before, that is called too, and restored when the last manager that
  /// listens is destroyed. docs/preemption.md has the details.
  CheckpointManagerOptions& stop_on_signal(std::vector<int> signals) {
    return set(stop_on_signal_, std::move(signals));
  }
  /// Saves when one of these signals has arrived, and training continues.
  CheckpointManagerOptions& save_on_signal(std::vector<int> signals) {
    return set(save_on_signal_, std::move(signals));
  }
  /// The signals of `stop_on_signal` that end the process at once when they arrive a second time: a
  /// second Ctrl-C. They end it as they would without a manager. A save that this interrupts leaves
  /// no checkpoint. A signal within a quarter of a second counts as the same one, because launchers
  /// pass on what the terminal has already sent. If the program has its own handler for the signal,
  /// that handler decides, and the manager does not end the process. Default: {SIGINT}. {}: no
  /// signal does.
  CheckpointManagerOptions& end_on_second_signal(std::vector<int> signals) {
    return set(end_on_second_signal_, std::move(signals));
  }
  /// @}

  /// @name Which checkpoints are kept
  /// A checkpoint is kept if any of these rules selects it. The newest, pinned and damaged
  /// checkpoints, and the one that this run resumed from, are always kept. With no rules, nothing
  /// is removed. Others are removed after each save, once the new checkpoint is on disk.
  /// docs/retention.md has the details.
  /// @{

  /// Replaces all keep_ rules, for instance by those of an earlier run:
  /// `options.keep(info.manifest.keep)`. keep_ calls after this one change or add to them.
  CheckpointManagerOptions& keep(KeepRules rules) { return set(keep_, std::move(rules)); }
  /// Keeps the newest n. Default: 0, rule not set.
  CheckpointManagerOptions& keep_last(int64_t n) { return set(keep_.last, n); }
  /// Keeps the best k by a metric ("loss" is Progress::loss). Each call adds a metric. The first
  /// one decides what `best` and the link "best" are. Of equal ones, the older is better. A metric
  /// that is missing or NaN ranks last. While no checkpoint has the metric, all are kept.
  CheckpointManagerOptions& keep_best(int64_t k, std::string metric, Mode mode) {
    return add(keep_.best, BestRule{k, std::move(metric), mode});
  }
  /// Keeps the first one saved after n, 2n, 3n, … epochs. Default: 0, rule not set.
  CheckpointManagerOptions& keep_every_n_epochs(int64_t n) { return set(keep_.every_n_epochs, n); }
  /// Keeps the first one saved after n, 2n, 3n, … steps. Default: 0, rule not set.
  CheckpointManagerOptions& keep_every_n_steps(int64_t n) { return set(keep_.every_n_steps, n); }
  /// Keeps the first one, and each that was saved at least this much later than the last one kept:
  /// `keep_every(std::chrono::hours(6))`. Default: 0, rule not set.
  CheckpointManagerOptions& keep_every(Seconds time) { return set(keep_.every, time); }
  /// Keeps those for which the function returns true. It must not use the manager. If it throws,
  /// nothing is removed. Each call adds a function.
  CheckpointManagerOptions& keep_if(KeepRules::Predicate function) {
    return add(keep_.predicates, std::move(function));
  }
  /// Whether a save reads the new checkpoint back from the disk before it removes the last one that
  /// is known to be readable. Default: true. False: that read is skipped, and the disk is trusted.
  CheckpointManagerOptions& verify_before_retire(bool value) {
    return set(verify_before_retire_, value);
  }
  /// @}

  /// @name Names, files and access
  /// @{

  /// The template for checkpoint names, in fmt's syntax: {epoch}, {step}, {loss} and any metric,
  /// each with a format specification ("{epoch:04d}-{val_accuracy:.4f}"). A missing metric reads
  /// "none". If the name is taken, "-v2" is appended. What cannot be in a name (blanks, slashes,
  /// "latest", a leading dot, ".corrupt" at the end) is replaced. Default:
  /// "epoch{epoch:04d}-step{step:08d}".
  CheckpointManagerOptions& name(std::string name_template) {
    return set(name_, std::move(name_template));
  }
  /// The file format of checkpoints. kArchive (default) writes checkpoint.pt, for C++ and Python's
  /// `torch.jit.load`. kPth writes checkpoint.pth, for Python's `torch.load`. It takes any item and
  /// parameter name, and its time grows linearly with the number of tensors. One directory may hold
  /// checkpoints of both formats. kSafetensors is refused.
  CheckpointManagerOptions& format(Format value) { return set(format_, value); }
  /// Whether a save does not write again the tensors that are equal, bit for bit, to those of the
  /// last checkpoint: frozen layers, embeddings. The file that holds them gets another name in the
  /// new checkpoint (a hard link), so that each checkpoint is whole by itself and may be copied or
  /// removed alone. The last checkpoint is one that this manager has saved, or restored with its
  /// digests checked. Each save reads all tensors once more. What checkpoints share is on the disk
  /// once, so damage to it concerns all of them (docs/reliability.md). Not for several ranks.
  /// Default: false.
  CheckpointManagerOptions& reuse_unchanged(bool value) { return set(reuse_unchanged_, value); }
  /// Whether a lock file keeps a second writer out. Default: true. False is for file systems
  /// without flock.
  CheckpointManagerOptions& lock(bool value) { return set(lock_, value); }
  /// Whether the manager only lists and restores, for instance while another process trains. It
  /// then creates no file, takes no lock and renames nothing. `save`, `pin`, `unpin`, `remove` and
  /// `prune` throw. Default: false.
  CheckpointManagerOptions& read_only(bool value) { return set(read_only_, value); }
  /// @}

  /// @name Asynchronous saves, and how far a save is
  /// @{

  /// Whether saves are asynchronous. `save` then returns when a consistent snapshot of the State is
  /// taken. While training continues, one background thread writes the snapshot, and removes the
  /// checkpoints that no rule keeps. It also calls the functions given to keep_if. Default: false.
  CheckpointManagerOptions& async(bool value) { return set(async_, value); }
  /// What `save_if_due` does while an asynchronous save runs, because only one runs at a time. An
  /// explicit `save`, and one that a signal asked for, always wait. Default: kWait.
  CheckpointManagerOptions& on_busy(OnBusy value) { return set(on_busy_, value); }
  /// The largest snapshot, in bytes of CPU memory. A larger State is saved synchronously. Default:
  /// 0, no limit.
  CheckpointManagerOptions& snapshot_limit(uint64_t bytes) { return set(snapshot_limit_, bytes); }
  /// A function that is called as a save copies and writes bytes.
  CheckpointManagerOptions& on_transfer(OnTransfer function) {
    return set(on_transfer_, std::move(function));
  }
  /// @}

  /// @name Several processes
  /// @{

  /// How this process reaches the other ranks of the same training (docs/distributed.md). All
  /// ranks then call `save`, `save_if_due`, `save_final` and the restores together, and make one
  /// checkpoint in one directory that all of them see. Default: null, this process is alone.
  CheckpointManagerOptions& coordinator(std::shared_ptr<Coordinator> value) {
    return set(coordinator_, std::move(value));
  }
  /// How long a rank waits for another one, each time. After that, it throws Error(timeout), which
  /// names the ranks that did not come. Default: ten minutes.
  CheckpointManagerOptions& timeout(Seconds value) { return set(timeout_, value); }
  /// Whether each save compares the digests of all tensors and values that the ranks share. If they
  /// differ, as in data-parallel training that has gone apart, no checkpoint is made, and the error
  /// names the first one and the ranks. Training waits until each rank has read its whole state
  /// once. Default: false.
  CheckpointManagerOptions& replicas_must_agree(bool value) {
    return set(replicas_must_agree_, value);
  }
  /// @}

  /// @name The values set above
  /// @{

  /// Returns the value set above.
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
  bool reuse_unchanged() const { return reuse_unchanged_; }
  bool lock() const { return lock_; }
  bool read_only() const { return read_only_; }
  bool async() const { return async_; }
  OnBusy on_busy() const { return on_busy_; }
  uint64_t snapshot_limit() const { return snapshot_limit_; }
  const OnTransfer& on_transfer() const { return on_transfer_; }
  const std::shared_ptr<Coordinator>& coordinator() const { return coordinator_; }
  Seconds timeout() const { return timeout_; }
  bool replicas_must_agree() const { return replicas_must_agree_; }
  /// @}

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
  bool reuse_unchanged_ = false;
  bool lock_ = true;
  bool read_only_ = false;
  bool async_ = false;
  OnBusy on_busy_ = OnBusy::kWait;
  uint64_t snapshot_limit_ = 0;
  OnTransfer on_transfer_;
  std::shared_ptr<Coordinator> coordinator_;
  Seconds timeout_ = std::chrono::minutes(10);
  bool replicas_must_agree_ = false;
};

}  // namespace checkpoint
