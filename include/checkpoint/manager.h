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
/// Writing managers exclude each other, in this process and in others, from the first `save`,
/// `restore_latest`, `remove` or `prune(DryRun::kNo)` until the manager is destroyed:
/// Error(locked). Any number may read and pin. One manager may be used from several threads:
/// `save`, the restores and `prune` follow one another; `list`, `latest`, `best`, `verify`, `pin`,
/// `unpin` and `should_stop` wait for nobody.
///
/// A writing manager writes to the directory that it has opened. When that is moved, removed or
/// replaced, or its `.lock` is removed, writing is Error(locked), and nothing is written or removed
/// at the path: make a new manager.
class TORCH_CHECKPOINT_API CheckpointManager {
 public:
  /// Creates nothing: the directory and its missing parents are made by the first `save` or
  /// `restore_latest`. A relative directory is taken from the one that is current now; a later
  /// chdir changes nothing. Throws Error(invalid_argument) for options that can never work (a name
  /// template that does not parse, a signal that cannot be caught), io or not_found if the current
  /// directory is needed and cannot be found.
  explicit CheckpointManager(std::string directory, CheckpointManagerOptions options = {});
  CheckpointManager(CheckpointManager&&) noexcept;
  CheckpointManager& operator=(CheckpointManager&&) noexcept;
  /// Waits for a save in flight. What that throws is in the log. Begins none: `save_final` does.
  ~CheckpointManager();

  /// Saves now; returns the checkpoint's name when it is durable: written, synced, in place.
  /// With `async(true)`, when the snapshot is taken: every object of the State may change from then
  /// on; `wait` or a handle says when it is durable. Throws Error: no_space, io, locked,
  /// invalid_argument, unsupported; also what the asynchronous save before threw, if nobody was
  /// told yet: then nothing is begun, except for what a signal asked for. When it throws, the older
  /// checkpoints are as they were.
  std::string save(const State& state, const Progress& progress);

  /// Saves if a trigger of the options is due, once for each time it is, or if a signal asked for
  /// it. Returns the name if so. Triggers that never can be (none is set, Progress::step does not
  /// move) are named in the log, once. Throws what `save` throws, and what an asynchronous save
  /// threw when nothing is due, too; a signal's wish then stays, and the next call tries again.
  /// What a signal asked for is durable when this returns, with `async(true)` too.
  std::optional<std::string> save_if_due(const State& state, const Progress& progress);

  /// Whether `save_if_due` would save now, for work that only a saved epoch needs (a validation
  /// pass). Asks the functions of `when`; if the answer is true, fill in the metrics and call
  /// `save_if_due` or `save`. `save_if_due` with the same epoch and step then gives the same
  /// answer, and does not ask again. Throws what those functions throw.
  bool is_due(const Progress& progress);

  /// For the end of a loop, whatever ended it: saves what is newer than the last checkpoint, and
  /// waits for it, with `async(true)` too. `every_n_epochs(5)` alone would lose the last two of
  /// seven epochs. Saves nothing, and returns empty, if the progress, metrics included, is that of
  /// what was saved or restored last, and that is on disk. Throws what `save` throws for this save;
  /// what an asynchronous one threw before is in the log, and made good by this one.
  ///
  /// Nothing does this by itself. The destructor cannot: it knows no State, whose objects may be
  /// gone by then; it also runs while an exception passes, when a step may be half done; and it
  /// cannot say that the save has failed.
  std::optional<std::string> save_final(const State& state, const Progress& progress);

  /// Waits until nothing is in flight. Throws what the last asynchronous save threw, if nobody was
  /// told yet.
  void wait();
  /// The save that was begun last, to wait for it or to ask how it went.
  SaveHandle last_save() const;
  /// Gives the memory of snapshots back to the system, when nothing is in flight any more. The next
  /// asynchronous save takes it anew, and longer.
  void release_memory();

  /// Whether a signal of `stop_on_signal` has come, and what training had reached is on disk: it is
  /// the loop's turn to end. Thread-safe.
  bool should_stop() const;

  /// Restores the newest checkpoint that is whole. A damaged one is logged, set aside as
  /// NAME.corrupt (not by a read-only manager), and passed over. Empty if the directory holds no
  /// checkpoint at all. Throws Error(corrupt) if there are some and none is whole,
  /// Error(incompatible) if it does not fit the State: then no live object has changed. Where
  /// nothing may be written it is Error(io): set read_only(true) there.
  std::optional<Restored> restore_latest(State& state, const RestoreOptions& options = {});

  /// The first line of a training loop: restores the newest checkpoint that is whole, as
  /// restore_latest does, sets `progress` to what it had reached, and returns the epoch that
  /// training goes on with: the next one, or the same one after a save in its middle. In an empty
  /// directory that is 0, and `progress` is left as it is. Throws as restore_latest does.
  ///
  ///     checkpoint::Progress progress;
  ///     for (int64_t epoch = manager.resume(state, progress); epoch < epochs; ++epoch) {
  ///       progress.loss = train_one_epoch(model, optimizer);
  ///       progress.epoch = epoch;
  ///       manager.save_if_due(state, progress);
  ///     }
  ///     manager.save_final(state, progress);
  int64_t resume(State& state, Progress& progress, const RestoreOptions& options = {});

  /// Restores one checkpoint by name. Throws Error: not_found, corrupt, incompatible, io.
  Restored restore(State& state, const std::string& name, const RestoreOptions& options = {});

  /// Restores the best checkpoint that is whole, by what `best` goes by. Damaged ones are logged
  /// and passed over. Empty if no checkpoint has the metric. Throws as restore_latest does.
  std::optional<Restored> restore_best(State& state, const RestoreOptions& options = {});
  /// The same by one metric, as in `best(metric)`.
  std::optional<Restored> restore_best(State& state, const std::string& metric,
                                       const RestoreOptions& options = {});

  /// All checkpoints, oldest first, damaged ones included; from the manifests and pins alone.
  std::vector<CheckpointInfo> list() const;
  /// The newest whose manifest can be read.
  std::optional<CheckpointInfo> latest() const;
  /// The best by the metric of the first keep_best; without one, the lowest Progress::loss. Equal
  /// ones: the older. Empty if no checkpoint has the metric, or all have NaN.
  std::optional<CheckpointInfo> best() const;
  /// The best by this metric, in the mode that keep_best gave it; "loss" without one: kMin.
  /// Throws Error(invalid_argument) if no keep_best names the metric.
  std::optional<CheckpointInfo> best(const std::string& metric) const;
  std::optional<CheckpointInfo> best(const std::string& metric, Mode mode) const;

  /// Keeps a checkpoint until `unpin`, whatever the rules say, in every process: an empty file
  /// `.pins/NAME`. Takes no lock, and may be called while training saves. When it returns, the
  /// checkpoint is there and stays; Error(not_found) if it is not there, or if its removal came
  /// first. To pin twice is no error. Throws Error: not_found, io, invalid_argument.
  void pin(const std::string& name);
  /// Takes the pin away; the next save removes the checkpoint if no rule keeps it. Returns whether
  /// it was pinned. Throws Error: io, invalid_argument.
  bool unpin(const std::string& name);

  /// Removes one checkpoint, whatever the rules say: the newest too, damaged ones, and those that
  /// were set aside as NAME.corrupt. The links "latest" and "best" follow. Waits for a save in
  /// flight. Throws Error: not_found; invalid_argument if it is pinned (unpin it first), if it
  /// holds files that this library did not write, or in a read-only manager; locked; io.
  void remove(const std::string& name);

  /// Removes what the options' rules do not keep, as each save does, or only says what that would
  /// be; and why each other one stays. kYes takes no lock. Throws Error: locked (kNo), io.
  PruneReport prune(DryRun dry_run);

  /// Reads one checkpoint whole and checks every digest. Throws Error: not_found, corrupt, io.
  void verify(const std::string& name) const;

  /// The absolute path.
  const std::string& directory() const;
  /// The options that this manager was made with.
  const CheckpointManagerOptions& options() const;

 private:
  friend struct internal::ManagerAccess;
  struct Impl;
  explicit CheckpointManager(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace checkpoint
