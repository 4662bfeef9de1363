#pragma once

#include "manager/background.h"
#include "state/snapshot/snapshot.h"
#include "store/directory/directory.h"

#include <checkpoint/manager.h>
#include <checkpoint/manifest.h>
#include <checkpoint/state.h>

#include <functional>
#include <memory>
#include <string>

#include <unistd.h>

namespace checkpoint::manager {

/// Carries out a manager's saves: at once, or from a snapshot in the background. Not thread-safe.
class Saver {
 public:
  /// Called when a checkpoint is durable, on the thread that wrote it.
  using AfterCommit = std::function<void(const Manifest& saved)>;

  /// Both must outlive this.
  Saver(const CheckpointManagerOptions& options, const store::Directory& directory)
      : options_(options), directory_(directory), process_(::getpid()) {}
  /// Waits for the save in flight.
  ~Saver();

  /// Whether a save is in flight.
  bool busy() const { return background_.busy(); }
  /// Waits until none is. Never throws what it threw.
  void wait() noexcept { background_.wait(); }
  /// The same, and throws the error of the last one, if it has not been reported yet.
  void wait_and_rethrow();
  /// The save that was begun last; null if there was none.
  std::shared_ptr<internal::SaveResult> last() const { return background_.last(); }

  /// Saves what the State holds now. Nothing may be in flight. `manifest` says all but items and
  /// files. Throws Error: no_space, io, unsupported; what an asynchronous save throws later, `last`
  /// tells. The caller holds the writer lock until nothing is in flight.
  void save(const State& state, Manifest manifest, AfterCommit after_commit);

  /// Fetches the memory that the first asynchronous save will need, in the background.
  void prepare_for(const State& state);
  void release_memory();

 private:
  bool take_snapshot(state::Capture& captured);

  const CheckpointManagerOptions& options_;
  const store::Directory& directory_;
  const pid_t process_;
  bool is_first_ = true;  // Whether nothing was saved so far: what is wrong is said once.
  state::Snapshot snapshot_;
  Background background_;  // Its thread uses the snapshot.
};

}  // namespace checkpoint::manager
