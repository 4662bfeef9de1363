// The work behind CheckpointManager's public functions (manager.cpp).
//
// A save waits for the running one, and meets the other ranks, if there are any. It then checks the
// item names. Rank 0 takes the writer lock, and chooses name and sequence. The Saver does the rest.
// When the checkpoint is durable, tidy_up moves the links, adds to the history, and removes what no
// rule keeps. It may run on the background thread. It never overlaps another call, because each
// call that uses the same state waits for the save first.

#include "manager/manager_impl.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"
#include "compat/torch_compat.h"
#include "manager/options.h"
#include "manager/restore_together.h"
#include "state/snapshot/capture.h"
#include "store/directory/history.h"
#include "store/directory/remove.h"
#include "store/directory/retire.h"
#include "store/io/file.h"
#include "store/records/manifest.h"
#include "store/records/names.h"
#include "store/retention/ranking.h"

#include <checkpoint/error.h>
#include <checkpoint/version.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include <unistd.h>

namespace checkpoint {
namespace {

constexpr char kSaved[] = "checkpoint saved";
// What ranks tell each other: the topics, and one answer.
constexpr char kBegun[] = "begun";
constexpr char kFinal[] = "final";
constexpr char kSavedAlready[] = "saved";

// Runs a step whose failure must not undo what is already done. A failure is logged after the text
// `done`. Returns whether the step succeeded.
template <typename Step>
bool attempt(const char* done, const Step& step) {
  try {
    step();
    return true;
  } catch (const std::exception& error) {
    base::log_warning(std::string(done) + ", but: " + error.what());
    return false;
  }
}

// Makes a path absolute, because a relative one would lead elsewhere after a chdir. Keeps links as
// they are.
std::string absolute(const std::string& path) {
  if (path.empty() || path[0] == '/') return path;
  std::error_code failure;
  const std::string current = std::filesystem::current_path(failure).string();
  if (failure) throw store::system_failure("find the current directory", path, failure.value());
  return store::join(current, path);
}

bool is_same(double left, double right) {
  return left == right || (std::isnan(left) && std::isnan(right));
}

// A program that counts no steps may still have another loss: any difference may be a different
// state.
bool is_same(const Progress& left, const Progress& right) {
  return left.epoch == right.epoch && left.step == right.step &&
         left.epoch_done == right.epoch_done && is_same(left.loss, right.loss) &&
         std::equal(left.metrics.begin(), left.metrics.end(), right.metrics.begin(),
                    right.metrics.end(), [](const auto& one, const auto& other) {
                      return one.first == other.first && is_same(one.second, other.second);
                    });
}

// Called before anything is written: a manifest cannot hold a name that is not valid UTF-8.
void check_metrics(const Progress& progress) {
  for (const auto& metric : progress.metrics) {
    if (base::is_valid_utf8(metric.first)) continue;
    throw Error(
        ErrorCode::kInvalidArgument,
        "the name of a metric, '" + base::valid_utf8(metric.first) + "', is not valid UTF-8", "", 0,
        "Write Progress::metrics with names in UTF-8.");
  }
}

// Warns before training begins, not at its first save. It does not throw, because a program that
// only restores may have such names.
void warn_of_names(const State& state, Format format) {
  try {
    state::check_item_names(state, format);
  } catch (const Error& error) {
    base::log_warning(std::string("no save can succeed: ") + error.what());
  }
}

}  // namespace

CheckpointManager::Impl::Impl(store::FileSystem& fs, const std::string& path,
                              const CheckpointManagerOptions& given,
                              const manager::Triggers::Clock& clock)
    : options(manager::checked(given)),
      group(options.coordinator(), options.timeout()),
      directory(fs, absolute(path)),
      name_template(options.name()),
      doubts(options),
      triggers(options, clock),
      joint_due(group),
      retention(options.keep(), options.verify_before_retire()),
      signals(options.stop_on_signal(), options.save_on_signal(), options.end_on_second_signal()),
      saver(options, directory) {}

void CheckpointManager::Impl::require_name(const std::string& name) const {
  if (!store::is_plain_name(name)) throw store::no_name_error(directory, name);
}

void CheckpointManager::Impl::require_writable(const char* call) const {
  if (options.read_only()) {
    throw Error(ErrorCode::kInvalidArgument, std::string(call) + ": this manager is read-only",
                directory.path(), 0, "Create one without read_only.");
  }
}

void CheckpointManager::Impl::require_leader(const char* call) const {
  require_writable(call);
  if (group.leads()) return;
  throw Error(ErrorCode::kInvalidArgument,
              std::string(call) + ": this is rank " + std::to_string(group.rank()) +
                  ", and only rank 0 may change the directory",
              directory.path(), 0, "Call it on rank 0 alone.");
}

// A forked child has neither the lock nor a rank of its own.
void CheckpointManager::Impl::require_own_process() const {
  if (writer_process == 0 || writer_process == ::getpid()) return;
  throw Error(ErrorCode::kLocked, "this CheckpointManager belongs to the parent process",
              directory.path(), 0, "Create a new one in the forked child.");
}

void CheckpointManager::Impl::take_lock() {
  if (writer_process == 0 && !group.leads()) {
    writer_process = ::getpid();
  } else if (writer_process == 0) {
    directory.create();
    store::begin_writing(directory, options.lock() ? store::TakeLock::kYes : store::TakeLock::kNo,
                         hold);
    writer_process = ::getpid();
    // Nothing depends on this file, so a failure to read it must not stop the training.
    attempt("the directory is ready",
            [&] { removed_sequence = store::highest_removed(directory); });
  } else {
    require_own_process();
    // Comes before anything is read or captured: the path may lead to another run's directory by
    // now.
    directory.require_held();
  }
}

// Restoring does not need the right to write, and the error says so.
void CheckpointManager::Impl::take_lock_to_restore(const State& state) {
  warn_of_names(state, options.format());
  try {
    take_lock();
  } catch (const Error& error) {
    const int reason = error.system_error();
    const bool may_not_write = reason == EROFS || reason == EACCES || reason == EPERM;
    if (!may_not_write || !directory.exists()) throw;
    throw Error(
        error.code(), "this user may not write to the directory", directory.path(), reason,
        "To restore without saving, set read_only(true). To continue training, make the directory "
        "writable for this user, or choose another one.");
  }
}

// A forked child must not speak for the rank of its parent.
std::shared_ptr<group::Meeting> CheckpointManager::Impl::meet(std::string what) {
  if (!group.is_alone()) require_own_process();
  saver.wait();
  return group.meet(std::move(what));
}

std::string CheckpointManager::Impl::save(const State& state, const Progress& progress, Due due,
                                          Before before) {
  const auto meeting = meet("the save of epoch " + std::to_string(progress.epoch) + ", step " +
                            std::to_string(progress.step));
  return meeting->run([&] { return save_in(meeting, state, progress, due, before); });
}

std::string CheckpointManager::Impl::save_in(const std::shared_ptr<group::Meeting>& meeting,
                                             const State& state, const Progress& progress, Due due,
                                             Before before) {
  const auto begin = triggers.now();
  state::check_item_names(state, options.format());
  take_lock();
  const manager::Signals::Arrivals asked = signals.arrivals();
  const bool is_asked = group.is_alone() ? signals.due() : due.asked;
  if (is_asked && before == Before::kRethrowFirst) before = Before::kRethrowAfter;
  const auto last = saver.last();
  if (last && before == Before::kRethrowFirst) last->rethrow_once();
  // The only scan of this save: it gives the sequence, and tidy_up decides by it what to keep.
  // Shared, because the save's function is copied on its way to the thread that calls it once.
  const auto found = std::make_shared<std::vector<store::FoundCheckpoint>>();
  Manifest begun;
  if (group.leads()) {
    *found = directory.scan();
    begun = new_manifest(progress, *found);
    if (!group.is_alone()) meeting->announce(kBegun, store::encode_manifest(begun));
  }
  const auto manifest = [&] {
    if (!group.leads()) begun = store::decode_manifest(meeting->hear(kBegun), "rank 0's manifest");
    meeting->call("the save of '" + begun.name + "'");
    return begun;
  };
  const std::string name =
      saver.save(state, progress, meeting, manifest, [this, found](const Manifest& saved) {
        if (group.leads()) tidy_up(saved, std::move(*found));
      });
  newest = progress;
  triggers.note_save(progress, begin, saver.busy());
  if (is_asked) saver.wait_and_rethrow();  // On disk before should_stop() is true.
  if (is_asked || group.is_alone()) signals.acknowledge(asked);
  if (due.stop) signals.acknowledge_stop_elsewhere();
  if (last && before == Before::kRethrowAfter) last->rethrow_once();
  return name;
}

std::optional<std::string> CheckpointManager::Impl::save_final(const State& state,
                                                               const Progress& progress) {
  saver.wait();
  bool is_saved = is_newest(progress);
  if (!group.is_alone()) {
    // Ranks may differ in this, if one of them has lost touch in the last save.
    const auto meeting = meet("save_final");
    if (group.leads()) {
      meeting->announce(kFinal, is_saved ? kSavedAlready : "");
    } else {
      is_saved = meeting->hear(kFinal) == kSavedAlready;
    }
  }
  if (is_saved) return std::nullopt;
  std::string name = save(state, progress, Before::kSuperseded);
  saver.wait_and_rethrow();
  return name;
}

std::optional<Restored> CheckpointManager::Impl::restore(State& state,
                                                         const RestoreOptions& restore_options,
                                                         const char* call, const Choose& choose) {
  const auto meeting = meet(call);
  std::optional<Restored> restored;
  try {
    restored = manager::restore_together(directory, state, restore_options, *meeting, choose);
  } catch (const Error& error) {
    saver.last_checkpoint().doubt_after(error);
    throw;
  }
  if (!restored) return restored;
  note_restored(*restored);
  if (restore_options.verify() == Verify::kNever) {
    saver.last_checkpoint().doubt();
  } else {
    saver.last_checkpoint().note_verified(restored->manifest);
  }
  return restored;
}

// Uses the answer that `is_due` gave for the same epoch and step: a function given to `when` may
// count its calls.
CheckpointManager::Impl::Due CheckpointManager::Impl::due(const Progress& progress) {
  const bool asked = signals.due();
  if (answered && answered->is_for(progress)) {
    Due due = answered->due;
    if (group.is_alone() && asked) due.due = due.asked = true;  // The signal may be newer.
    return due;
  }
  const manager::Triggers::Due due = triggers.ask(progress, saver.busy());
  if (group.is_alone()) return {due.common || due.own || asked, asked, false};
  const bool stops = asked && signals.arrivals().stop != signals.acknowledged().stop;
  const auto decision =
      joint_due.ask({group.leads() && due.own && !due.common, stops, asked && !stops});
  return {due.common || decision, decision && decision->asked, decision && decision->stop};
}

// No save is running here. The save of `newest` may have failed, so its result is checked too.
bool CheckpointManager::Impl::is_newest(const Progress& progress) const {
  const auto last = saver.last();
  return newest && is_same(*newest, progress) && !(last && last->failed());
}

Manifest CheckpointManager::Impl::new_manifest(const Progress& progress,
                                               const std::vector<store::FoundCheckpoint>& found) {
  check_metrics(progress);
  Manifest manifest;
  manifest.sequence = std::max(directory.highest_sequence(found), removed_sequence) + 1;
  manifest.name = directory.free_name(name_template.render(progress));
  // The parent may have been renamed by hand, to a name in another encoding.
  manifest.parent = base::valid_utf8(resumed_from());
  manifest.created = base::utc_now();
  manifest.run_id = run_id;
  manifest.libtorch_version = compat::torch_version();
  manifest.library_version = TORCH_CHECKPOINT_VERSION;
  manifest.progress = progress;
  manifest.keep = options.keep();
  return manifest;
}

// What a save adds to the scan that was made before it.
void CheckpointManager::Impl::add_saved(const std::string& name,
                                        std::vector<store::FoundCheckpoint>& found) const {
  std::optional<store::FoundCheckpoint> own = directory.find(name);
  if (!own) {
    throw Error(ErrorCode::kNotFound, "the checkpoint was removed right after its save",
                directory.path_of(name));
  }
  found.push_back(std::move(*own));
  store::sort_by_sequence(found);
}

void CheckpointManager::Impl::retire(const Manifest& saved,
                                     std::vector<store::FoundCheckpoint> found) {
  const store::Decision decision = retention.apply(directory, std::move(found), resumed_from());
  if (!decision.is_safe) saver.last_checkpoint().doubt();
  warn_of_missing_metrics(saved, decision);
}

// If no checkpoint has the metric, retention has already warned, and only once.
void CheckpointManager::Impl::warn_of_missing_metrics(const Manifest& saved,
                                                      const store::Decision& decision) const {
  const std::vector<std::string>& warned = decision.unranked_metrics;
  for (const std::string& metric : store::missing_metrics(saved.progress, options.keep())) {
    if (std::find(warned.begin(), warned.end(), metric) != warned.end()) continue;
    base::log_warning("checkpoint '" + directory.path_of(saved.name) + "' has no " + metric +
                      " (missing or NaN): it ranks last for keep_best");
  }
}

// The checkpoint is safe by now. A failure here is logged, and the step is tried again after the
// next save.
void CheckpointManager::Impl::tidy_up(const Manifest& saved,
                                      std::vector<store::FoundCheckpoint> found) {
  attempt(kSaved, [&] { directory.point_link(store::kLatestLink, saved.name); });
  attempt(kSaved, [&] { store::append_history(directory, store::history_entry(saved)); });
  const bool retired = options.keep().empty() || attempt(kSaved, [&] {
                         add_saved(saved.name, found);
                         attempt(kSaved, [&] { point_best(found); });
                         retire(saved, std::move(found));
                       });
  // Does not sweep after a failure. If the directory could not be synced, a crash may undo the
  // renaming of a retired checkpoint, which must then still be whole. Does not sweep without the
  // lock either, because another writer may be using its staging directory.
  if (options.lock() && retired) attempt(kSaved, [&] { store::sweep(directory); });
}

// Without keep_best, a link of this name belongs to the user and is left alone.
void CheckpointManager::Impl::point_best(const std::vector<store::FoundCheckpoint>& found) {
  if (options.keep().best.empty()) return;
  const size_t best = store::best_of(found, store::default_best_rule(options.keep()));
  if (best < found.size()) directory.point_link(store::kBestLink, found[best].name);
}

void CheckpointManager::Impl::note_restored(const Restored& restored) {
  newest = restored.progress();
  doubts.note_restored();
  triggers.note(restored.progress());
  base::log_info("restored checkpoint '" + directory.path_of(restored.name()) + "'");
  const std::lock_guard<std::mutex> hold(parent_mutex);
  parent = restored.name();
}

std::string CheckpointManager::Impl::resumed_from() const {
  const std::lock_guard<std::mutex> hold(parent_mutex);
  return parent;
}

void CheckpointManager::Impl::remove(const std::string& name) {
  take_lock();
  saver.wait();
  const int64_t sequence = store::remove_checkpoint(directory, name);
  removed_sequence = std::max(removed_sequence, sequence);
  newest.reset();  // It may be the removed one: `save_final` must not rely on it.
  attempt("checkpoint removed", [&] { point_best(directory.scan()); });
}

store::Decision CheckpointManager::Impl::decide() const {
  directory.require_held();
  return retention.decide(directory, resumed_from());
}

}  // namespace checkpoint
