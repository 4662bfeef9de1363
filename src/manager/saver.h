#pragma once

#include "format/torch/archive_plan.h"
#include "group/group.h"
#include "manager/background.h"
#include "manager/last_checkpoint.h"
#include "state/share/share.h"
#include "state/snapshot/snapshot.h"
#include "store/directory/directory.h"
#include "store/io/chunk_pool.h"

#include <checkpoint/manager.h>
#include <checkpoint/manifest.h>
#include <checkpoint/state.h>

#include <functional>
#include <memory>
#include <string>

#include <unistd.h>

namespace checkpoint::manager {

/// Runs a manager's saves: at once, or from a snapshot in the background. Not thread-safe.
class Saver {
 public:
  /// Called when a checkpoint is durable, on the thread that wrote it.
  using AfterCommit = std::function<void(const Manifest& saved)>;

  /// Both must outlive this.
  Saver(const CheckpointManagerOptions& options, const store::Directory& directory)
      : options_(options),
        directory_(directory),
        process_(::getpid()),
        last_checkpoint_(directory) {}
  /// Waits for the running save.
  ~Saver();

  /// Returns whether a save is running.
  bool busy() const { return background_.busy(); }
  /// Waits until no save is running. Never throws the error of a save.
  void wait() noexcept { background_.wait(); }
  /// Does the same, and throws the error of the last save if it has not been reported yet.
  void wait_and_rethrow();
  /// Returns the save that was started last; null before the first one.
  std::shared_ptr<internal::SaveResult> last() const { return background_.last(); }

  /// Saves what the State holds now, together with the other ranks. No save may be running.
  /// `manifest` is called once the snapshot is taken; it returns everything except items and files.
  /// Rank 0 holds the writer lock until the save has ended. Returns the checkpoint's name. Throws
  /// Error: no_space, io, unsupported, and what Meeting throws. `last` has the error of an
  /// asynchronous save that fails later; the other ranks are told of that one.
  std::string save(const State& state, const Progress& progress,
                   std::shared_ptr<group::Meeting> meeting,
                   const std::function<Manifest()>& manifest, AfterCommit after_commit);

  /// What the last checkpoint holds, for reuse_unchanged. But for `doubt`, only when no save is
  /// running, or on the thread of that save.
  LastCheckpoint& last_checkpoint() { return last_checkpoint_; }

  /// Allocates the memory of the first asynchronous save, in the background: the share of one of so
  /// many ranks.
  void prepare_for(const State& state, size_t ranks);
  /// Whether that was called.
  bool is_prepared() const { return is_prepared_; }
  void release_memory();

 private:
  state::Share capture_share(const State& state, const Progress& progress,
                             const group::Meeting& meeting);
  bool take_snapshot(state::Capture& captured);

  const CheckpointManagerOptions& options_;
  const store::Directory& directory_;
  const pid_t process_;
  bool is_prepared_ = false;
  bool is_first_ = true;  // Only the first save warns about what is unsaved.
  LastCheckpoint last_checkpoint_;
  state::Snapshot snapshot_;
  store::ChunkPool pool_;
  format::ArchivePlan plan_;
  Background background_;  // Its thread uses the snapshot, the pool and the plan.
};

}  // namespace checkpoint::manager
