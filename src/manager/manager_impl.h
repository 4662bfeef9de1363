#pragma once

#include "base/clock.h"
#include "manager/doubts.h"
#include "manager/name_template.h"
#include "manager/saver.h"
#include "manager/signals.h"
#include "manager/triggers.h"
#include "store/directory/directory.h"
#include "store/directory/writer_hold.h"
#include "store/io/file_system.h"
#include "store/retention/retention.h"

#include <checkpoint/manager.h>

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace checkpoint {

/// The state of a manager, and the work behind its public functions. Callers hold `mutex`, except
/// where a member says that it needs no guard.
struct CheckpointManager::Impl {
  // What a save does with the error of the asynchronous save before it.
  enum class Before {
    kRethrowFirst,  // Throws it, and starts no save.
    kRethrowAfter,  // Time is short after a signal: saves, then throws it.
    kSuperseded,    // Nothing: this save holds what that one could not save, or throws.
  };

  // An answer of `is_due`.
  struct Answer {
    int64_t epoch, step;
    bool epoch_done;
    bool due;

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

  // Makes the directory and takes the writer lock, once. After that, checks that it is still held.
  // Throws Error: locked, io, not_found, invalid_argument.
  void take_lock();
  // The same before a restore: warns of item names that no save could write, and if this user may
  // not write, the error says that restoring needs no right to.
  void take_lock_to_restore(const State& state);

  std::string save(const State& state, const Progress& progress,
                   Before before = Before::kRethrowFirst);
  // Whether a trigger is due, asked once for each epoch and step.
  bool due(const Progress& progress);
  // Whether the newest checkpoint on disk has this progress. No save may be running.
  bool is_newest(const Progress& progress) const;
  void remove(const std::string& name);
  // Runs after each commit, on the thread that wrote it.
  void tidy_up(const Manifest& saved);
  void note_restored(const Restored& restored);
  std::string resumed_from() const;
  store::Decision decide() const;

  // Parts of `save` and `tidy_up`.
  int64_t next_sequence();
  Manifest new_manifest(const Progress& progress);
  void retire(const Manifest& saved, std::vector<store::FoundCheckpoint> found);
  void warn_of_missing_metrics(const Manifest& saved, const store::Decision& decision) const;
  void point_best(const std::vector<store::FoundCheckpoint>& found);

  const CheckpointManagerOptions options;
  store::Directory directory;  // Only `take_lock` changes it.
  const manager::NameTemplate name_template;
  const std::string run_id = base::random_id();

  std::mutex mutex;  // Guards what follows.
  std::optional<store::WriterHold> hold;
  pid_t writer_process = 0;
  std::optional<int64_t> highest_sequence;  // Of what the scan after the last save has found.
  int64_t removed_sequence = 0;    // No later checkpoint takes the place of one that was removed.
  std::optional<Progress> newest;  // Of what was saved or restored last.
  manager::Doubts doubts;
  std::optional<Answer> answered;  // What `is_due` said last, until `save_if_due` comes.
  manager::Triggers triggers;
  store::Retention retention;  // `decide` needs no guard.
  manager::Signals signals;    // `should_stop` needs no guard.

  mutable std::mutex parent_mutex;  // Guards `parent`, so that `list` need not wait for a save.
  std::string parent;

  // Last: a save in flight uses the rest. What else removes checkpoints waits for it first.
  manager::Saver saver;
};

}  // namespace checkpoint
