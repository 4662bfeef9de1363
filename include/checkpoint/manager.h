#pragma once

#include <checkpoint/checkpoint_info.h>
#include <checkpoint/export.h>
#include <checkpoint/keep.h>
#include <checkpoint/manager_options.h>
#include <checkpoint/restore.h>
#include <checkpoint/save_handle.h>
#include <checkpoint/state.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace checkpoint {

namespace internal {
struct ManagerAccess;
}  // namespace internal

/// A directory of checkpoints of one training run.
///
/// Only one manager writes to a directory at a time, in this process or in any other. A second one
/// throws Error(locked). A manager becomes a writer with its first `save`, `resume`,
/// `restore_latest`, `remove` or `prune(DryRun::kNo)`, and stays one until it is destroyed. Any
/// number of managers may read and pin.
///
/// One manager may be used from several threads. `save`, the restores, `remove` and `prune` run one
/// after the other. `list`, `latest`, `best`, `verify`, `pin`, `unpin` and `should_stop` never
/// wait for them.
///
/// A writer keeps the directory that it opened. If that directory is moved, removed or replaced, or
/// if its `.lock` is removed, each write throws Error(locked) and changes nothing at the path. Make
/// a new manager then.
class TORCH_CHECKPOINT_API CheckpointManager {
 public:
  /// Opens no file and creates nothing: the first `save` or `restore_latest` makes the directory
  /// and its missing parents. A relative path is resolved now, and does not follow a later chdir.
  ///
  /// Throws Error(invalid_argument) for options that can never work: a name template that does not
  /// parse, a signal that cannot be caught. Throws Error: io, not_found if the path is relative and
  /// the current directory cannot be read.
  explicit CheckpointManager(std::string directory, CheckpointManagerOptions options = {});
  /// Moves the manager with its lock and its running save.
  CheckpointManager(CheckpointManager&&) noexcept;
  /// Waits for a running save of this manager first.
  CheckpointManager& operator=(CheckpointManager&&) noexcept;
  /// Waits for a running save. If that save fails, its error is logged. Saves nothing: call
  /// `save_final` for that.
  ~CheckpointManager();

  /// Saves now and returns the checkpoint's name. A synchronous save returns when the checkpoint is
  /// durable: written, synced and renamed to its name. With `async(true)` it returns when the
  /// snapshot is taken: from then on every object of the State may change. `wait` or a handle tells
  /// when that checkpoint is durable.
  ///
  /// Throws Error: no_space, io, locked, invalid_argument, unsupported, device. Older checkpoints
  /// then stay as they were. If the previous asynchronous save failed and its error has not been
  /// reported yet, throws that error and starts no new save. If a signal asked for a save, that one
  /// is made before the error is thrown.
  std::string save(const State& state, const Progress& progress);

  /// Saves if a trigger of the options is due, or if a signal asked for a save. Returns the name of
  /// the new checkpoint, or nothing. A save that a signal asked for is durable when this returns,
  /// also with `async(true)`. Logs one warning if no trigger can ever be due, because none was set
  /// or because Progress::step never changes.
  ///
  /// Throws as `save` does. Throws the error of an asynchronous save also when no save is due. If a
  /// save for a signal fails, the next call tries again.
  std::optional<std::string> save_if_due(const State& state, const Progress& progress);

  /// Returns whether `save_if_due` would save now. Use it for work that only a saved epoch needs,
  /// such as a validation pass. If it returns true, fill in the metrics and call `save_if_due` or
  /// `save`. Calls the functions given to `when`; `save_if_due` with the same epoch and step does
  /// not call them again. Throws what those functions throw.
  bool is_due(const Progress& progress);

  /// Saves `progress` if the last checkpoint does not hold it yet, and returns when that save is
  /// durable, also with `async(true)`. Call it after the training loop, however that ended: with
  /// `every_n_epochs(5)` alone, the last two of seven epochs would be lost. Returns the new
  /// checkpoint's name. Returns nothing if the newest checkpoint, saved or restored, has this
  /// progress, metrics included. Throws as `save` does for this save. An earlier asynchronous error
  /// is only logged, because this save replaces the failed one.
  ///
  /// The destructor cannot do this. It does not have the State, whose objects may be destroyed by
  /// then. It also runs while an exception passes, when a step may be half done. And it cannot
  /// report an error.
  std::optional<std::string> save_final(const State& state, const Progress& progress);

  /// Waits for a running save. Throws its error, if that has not been reported yet.
  void wait();
  /// Returns a handle to the last save that was started.
  SaveHandle last_save() const;
  /// Waits for a running save and returns to the system what is kept for the next one: the memory
  /// of snapshots, up to 48 MiB that files are written from, and the names of the last archive. The
  /// next save must make it again, which takes longer.
  void release_memory();

  /// Returns true once a `stop_on_signal` signal has arrived and a checkpoint made after it is on
  /// disk. The training loop should then exit. Thread-safe.
  bool should_stop() const;

  /// Restores the newest checkpoint that is intact. A damaged checkpoint is logged, renamed to
  /// NAME.corrupt (not by a read-only manager) and skipped. Returns nothing if the directory holds
  /// no checkpoint at all.
  ///
  /// Throws Error(corrupt) if the directory holds checkpoints but none of them is intact. Throws
  /// Error(incompatible) if the newest does not match the State; then no live object has changed.
  /// Throws Error(not_found) if the directory seems to hold checkpoints that cannot be seen. Throws
  /// Error(locked) if another manager writes here. Throws Error(io), also if this user may not
  /// write to the directory: then set read_only(true). Throws Error(device) if a device failed; no
  /// older checkpoint is tried then.
  std::optional<Restored> restore_latest(State& state, const RestoreOptions& options = {});

  /// Restores the newest checkpoint that is intact, as `restore_latest` does, and returns the epoch
  /// to continue with. That is the next epoch, or the same one after a save in the middle of an
  /// epoch. Sets `progress` to the saved one. In an empty directory it returns 0 and does not
  /// change `progress`. Throws as `restore_latest` does. It is the first line of a training loop:
  ///
  ///     checkpoint::Progress progress;
  ///     for (int64_t epoch = manager.resume(state, progress); epoch < epochs; ++epoch) {
  ///       progress.loss = train_one_epoch(model, optimizer);
  ///       progress.epoch = epoch;
  ///       manager.save_if_due(state, progress);
  ///     }
  ///     manager.save_final(state, progress);
  int64_t resume(State& state, Progress& progress, const RestoreOptions& options = {});

  /// Restores one checkpoint by its name. Throws Error: not_found, corrupt, incompatible, io,
  /// device.
  Restored restore(State& state, const std::string& name, const RestoreOptions& options = {});

  /// Restores the best checkpoint that is intact, in the order of `best`. Damaged checkpoints are
  /// logged and skipped. Returns nothing if no checkpoint has the metric. Throws as
  /// `restore_latest` does.
  std::optional<Restored> restore_best(State& state, const RestoreOptions& options = {});
  /// Restores the best checkpoint by one metric, as `best(metric)` orders them.
  std::optional<Restored> restore_best(State& state, const std::string& metric,
                                       const RestoreOptions& options = {});

  /// Returns all checkpoints, damaged ones too, the oldest first. Reads only manifests and pins.
  std::vector<CheckpointInfo> list() const;
  /// Returns the newest checkpoint whose manifest can be read.
  std::optional<CheckpointInfo> latest() const;
  /// Returns the best checkpoint by the metric of the first keep_best. Without a keep_best, returns
  /// the one with the lowest Progress::loss. Of equal ones, returns the older. Returns nothing if
  /// no checkpoint has the metric, or if all values are NaN.
  std::optional<CheckpointInfo> best() const;
  /// Returns the best checkpoint by this metric, in the mode that keep_best gave it. "loss" needs
  /// no keep_best: lower is better. Throws Error(invalid_argument) if no keep_best names the
  /// metric.
  std::optional<CheckpointInfo> best(const std::string& metric) const;
  /// Returns the best checkpoint by any metric, in any mode.
  std::optional<CheckpointInfo> best(const std::string& metric, Mode mode) const;

  /// Keeps a checkpoint until `unpin`, whatever the rules of any process say. Creates an empty file
  /// `.pins/NAME`. Needs no lock and may be called while another process saves. On return the
  /// checkpoint exists and will not be removed. Pinning twice has no effect. Throws Error: io,
  /// invalid_argument. Throws Error(not_found) if the checkpoint does not exist or was removed
  /// first.
  void pin(const std::string& name);
  /// Removes the pin. If no rule keeps the checkpoint, the next save removes it. Returns whether it
  /// was pinned. Throws Error: io, invalid_argument.
  bool unpin(const std::string& name);

  /// Removes one checkpoint, whatever the rules say: also the newest, a damaged one, or one that
  /// was set aside as NAME.corrupt. The links "latest" and "best" follow. Waits for a running save.
  ///
  /// Throws Error: not_found, locked, io. Throws Error(invalid_argument) if the checkpoint is
  /// pinned (unpin it first) or holds files that this library did not write, and in a read-only
  /// manager.
  void remove(const std::string& name);

  /// Removes the checkpoints that no rule of the options keeps, as each save does. With
  /// DryRun::kYes, only reports which ones those are, and takes no lock. The report says why each
  /// other checkpoint is kept. Throws Error: locked (kNo), io.
  PruneReport prune(DryRun dry_run);

  /// Reads one whole checkpoint and checks every digest. Throws Error: not_found, corrupt, io.
  void verify(const std::string& name) const;

  /// Returns the absolute path of the directory.
  const std::string& directory() const;
  /// Returns the options that this manager was made with.
  const CheckpointManagerOptions& options() const;

 private:
  friend struct internal::ManagerAccess;
  struct Impl;
  explicit CheckpointManager(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace checkpoint
