#pragma once

#include "base/clock.h"
#include "group/group.h"
#include "manager/doubts.h"
#include "manager/joint_due.h"
#include "manager/name_template.h"
#include "manager/resume.h"
#include "manager/saver.h"
#include "manager/signals.h"
#include "manager/triggers.h"
#include "store/directory/directory.h"
#include "store/directory/writer_hold.h"
#include "store/io/file_system.h"
#include "store/retention/retention.h"

#include <checkpoint/manager.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace checkpoint {

/// The state of a manager, and the work behind its public functions. Callers hold `mutex`, except
/// where a member says that it needs no guard.
struct CheckpointManager::Impl {
  // What a save does if the asynchronous save before it failed.
  enum class Before {
    kRethrowFirst,  // Throws its error, and starts no save.
    kRethrowAfter,  // Saves, then throws its error: time is short after a signal.
    kSuperseded,    // Ignores its error: this save holds what that one could not save, or throws.
  };

  // Why a save is due.
  struct Due {
    bool due = false;
    bool asked = false;  // By a signal. With several ranks: to any, and all know it.
    bool stop = false;   // By a signal to stop, to any of several ranks.
  };

  // An answer of `is_due`.
  struct Answer {
    int64_t epoch, step;
    bool epoch_done;
    Due due;

    bool is_for(const Progress& progress) const {
      return epoch == progress.epoch && step == progress.step && epoch_done == progress.epoch_done;
    }
  };

  Impl(store::FileSystem& fs, const std::string& path, const CheckpointManagerOptions& given,
       const manager::Triggers::Clock& clock);

  // Throws Error(invalid_argument) for a name that leads out of the directory.
  void require_name(const std::string& name) const;
  // Throws Error(invalid_argument) in a read-only manager.
  void require_writable(const char* call) const;
  // Throws Error(locked) in a forked child of the process that has begun to write.
  void require_own_process() const;
  // Does the same as require_writable for a call that only rank 0 may make.
  void require_leader(const char* call) const;

  // Makes the directory and takes the writer lock, once. After that, checks that it is still held.
  // Throws Error: locked, io, not_found, invalid_argument.
  void take_lock();
  // Does the same before a restore. Also warns about item names that no save could write. If this
  // user may not write, the error says how to restore without writing.
  void take_lock_to_restore(const State& state);
  // Fetches the memory of the first asynchronous save.
  void prepare_for(const State& state) {
    saver.prepare_for(state, static_cast<size_t>(group.size()));
  }

  // Waits for the running save, and begins what all ranks do together.
  std::shared_ptr<group::Meeting> meet(std::string what);
  // All ranks call these together.
  std::string save(const State& state, const Progress& progress, Due due,
                   Before before = Before::kRethrowFirst);
  std::string save(const State& state, const Progress& progress,
                   Before before = Before::kRethrowFirst) {
    return save(state, progress, {true, false, false}, before);
  }
  std::optional<std::string> save_final(const State& state, const Progress& progress);
  using Choose = std::function<std::optional<Restored>(const manager::RestoreOne&)>;
  std::optional<Restored> restore(State& state, const RestoreOptions& restore_options,
                                  const char* call, const Choose& choose);
  // Returns whether a save is due. The triggers are asked once for each epoch and step.
  Due due(const Progress& progress);
  // Returns whether the newest checkpoint on disk has this progress. No save may be running.
  bool is_newest(const Progress& progress) const;
  void remove(const std::string& name);
  // Runs after each commit, on the thread that wrote it.
  void tidy_up(const Manifest& saved, std::vector<store::FoundCheckpoint> found);
  void note_restored(const Restored& restored);
  std::string resumed_from() const;
  store::Decision decide() const;

  // Parts of `save` and `tidy_up`.
  std::string save_in(const std::shared_ptr<group::Meeting>& meeting, const State& state,
                      const Progress& progress, Due due, Before before);
  Manifest new_manifest(const Progress& progress, const std::vector<store::FoundCheckpoint>& found);
  void add_saved(const std::string& name, std::vector<store::FoundCheckpoint>& found) const;
  void retire(const Manifest& saved, std::vector<store::FoundCheckpoint> found);
  void warn_of_missing_metrics(const Manifest& saved, const store::Decision& decision) const;
  void point_best(const std::vector<store::FoundCheckpoint>& found);

  const CheckpointManagerOptions options;
  group::Group group;
  store::Directory directory;  // Only `take_lock` changes it.
  const manager::NameTemplate name_template;
  const std::string run_id = base::random_id();

  std::mutex mutex;  // Guards what follows.
  std::optional<store::WriterHold> hold;
  pid_t writer_process = 0;
  int64_t removed_sequence = 0;    // The highest of removed ones: new ones are higher.
  std::optional<Progress> newest;  // Of the last save or restore.
  manager::Doubts doubts;
  std::optional<Answer> answered;  // By `is_due`, for the next `save_if_due`.
  manager::Triggers triggers;
  manager::JointDue joint_due;
  store::Retention retention;  // `decide` needs no guard.
  manager::Signals signals;    // `should_stop` needs no guard.

  mutable std::mutex parent_mutex;  // Guards `parent`, so that `list` need not wait for a save.
  std::string parent;

  // The last member, because a running save uses the others. Every other call that removes
  // checkpoints waits for it first.
  manager::Saver saver;
};

}  // namespace checkpoint
