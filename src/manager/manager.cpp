#include <checkpoint/error.h>
#include <checkpoint/manager.h>
#include <checkpoint/version.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"
#include "compat/torch_compat.h"
#include "manager/checkpoint_info.h"
#include "manager/doubts.h"
#include "manager/manager_access.h"
#include "manager/name_template.h"
#include "manager/options.h"
#include "manager/resume.h"
#include "manager/saver.h"
#include "manager/signals.h"
#include "manager/triggers.h"
#include "state/snapshot/capture.h"
#include "store/directory/history.h"
#include "store/directory/pins.h"
#include "store/directory/remove.h"
#include "store/directory/retire.h"
#include "store/directory/verify.h"
#include "store/directory/writer_hold.h"
#include "store/io/file.h"
#include "store/records/manifest.h"
#include "store/records/names.h"
#include "store/retention/ranking.h"
#include "store/retention/retention.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <filesystem>
#include <mutex>
#include <system_error>
#include <utility>

namespace checkpoint {
namespace {

constexpr char kSaved[] = "the checkpoint is saved";

// What must not undo what is done already, which the log says with the failure. Returns whether it
// succeeded.
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

// What is relative would lead elsewhere after a chdir. Links stay as they are.
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

// Who counts no steps may still have another loss: any difference may be a different state.
bool is_same(const Progress& left, const Progress& right) {
  return left.epoch == right.epoch && left.step == right.step &&
         left.epoch_done == right.epoch_done && is_same(left.loss, right.loss) &&
         std::equal(left.metrics.begin(), left.metrics.end(), right.metrics.begin(),
                    right.metrics.end(), [](const auto& one, const auto& other) {
                      return one.first == other.first && is_same(one.second, other.second);
                    });
}

// How a save treats what an asynchronous save before it threw.
enum class Before {
  kRethrowFirst,  // Then nothing is begun.
  kRethrowAfter,  // Time is short after a signal: when the state is safe.
  kSuperseded,    // Not at all: what it could not save is saved, or this throws.
};

// Before anything is written: a manifest could not hold it.
void check_metrics(const Progress& progress) {
  for (const auto& metric : progress.metrics) {
    if (base::is_valid_utf8(metric.first)) continue;
    throw Error(
        ErrorCode::kInvalidArgument,
        "the name of a metric, '" + base::valid_utf8(metric.first) + "', is not valid UTF-8", "", 0,
        "Write Progress::metrics with names in UTF-8.");
  }
}

}  // namespace

struct CheckpointManager::Impl {
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
       const manager::Triggers::Clock& clock)
      : options(manager::checked(given)),
        directory(fs, absolute(path)),
        name_template(options.name()),
        doubts(options),
        triggers(options, clock),
        retention(options.keep(), options.verify_before_retire()),
        signals(options.stop_on_signal(), options.save_on_signal(), options.end_on_second_signal()),
        saver(options, directory) {}

  // Throws Error(invalid_argument) for a name that leads out of the directory.
  void require_name(const std::string& name) const;
  // Throws Error(invalid_argument) in a read-only manager.
  void require_writable(const char* call) const;
  void take_lock();
  void warn_of_names(const State& state) const;
  void take_lock_to_restore();
  std::string save(const State& state, const Progress& progress,
                   Before before = Before::kRethrowFirst);
  bool is_newest(const Progress& progress) const;
  bool due(const Progress& progress);
  Manifest new_manifest(const Progress& progress);
  void retire(const Manifest& saved, std::vector<store::FoundCheckpoint> found);
  void warn_of_missing_metrics(const Manifest& saved, const store::Decision& decision) const;
  void tidy_up(const Manifest& saved);
  void point_best(const std::vector<store::FoundCheckpoint>& found);
  int64_t next_sequence();
  void note_restored(const Restored& restored);
  std::string resumed_from() const;
  store::Decision decide() const {
    directory.require_held();
    return retention.decide(directory, resumed_from());
  }

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

void CheckpointManager::Impl::require_name(const std::string& name) const {
  if (store::is_plain_name(name)) return;
  throw Error(ErrorCode::kInvalidArgument, "'" + name + "' is not a valid checkpoint name",
              directory.path(), 0, "list() gives the names.");
}

void CheckpointManager::Impl::require_writable(const char* call) const {
  if (options.read_only()) {
    throw Error(ErrorCode::kInvalidArgument, std::string(call) + ": this manager is read-only",
                directory.path(), 0, "Make one without read_only for that.");
  }
}

// Better before the training than at its first save; and who only restores may do so.
void CheckpointManager::Impl::warn_of_names(const State& state) const {
  try {
    state::check_item_names(state, options.format());
  } catch (const Error& error) {
    base::log_warning(std::string("no save will succeed: ") + error.what());
  }
}

void CheckpointManager::Impl::take_lock() {
  if (writer_process == 0) {
    directory.create();
    store::begin_writing(directory, options.lock() ? store::TakeLock::kYes : store::TakeLock::kNo,
                         hold);
    writer_process = ::getpid();
    // No training fails to start because of a file on which nothing depends.
    attempt("the directory is ready",
            [&] { removed_sequence = store::highest_removed(directory); });
  } else if (writer_process != ::getpid()) {
    throw Error(ErrorCode::kLocked, "this manager writes for the process that was forked",
                directory.path(), 0, "Make a CheckpointManager of its own in the child.");
  } else {
    // Before anything is read there, or captured: it might be another run's.
    directory.require_held();
  }
}

// Nobody has to write in order to restore, and the error says so.
void CheckpointManager::Impl::take_lock_to_restore() {
  try {
    take_lock();
  } catch (const Error& error) {
    const int reason = error.system_error();
    const bool may_not_write = reason == EROFS || reason == EACCES || reason == EPERM;
    if (!may_not_write || !directory.exists()) throw;
    throw Error(error.code(), "this manager may not write to its directory", directory.path(),
                reason,
                "To restore and not to save, set read_only(true); to train on, make the directory "
                "writable for this user, or choose another one.");
  }
}

std::string CheckpointManager::Impl::save(const State& state, const Progress& progress,
                                          Before before) {
  const auto begin = triggers.now();
  state::check_item_names(state, options.format());
  take_lock();
  saver.wait();
  const manager::Signals::Arrivals asked = signals.arrivals();
  const bool is_asked = signals.due();
  if (is_asked && before == Before::kRethrowFirst) before = Before::kRethrowAfter;
  const auto last = saver.last();
  if (last && before == Before::kRethrowFirst) last->rethrow_once();
  const Manifest manifest = new_manifest(progress);
  saver.save(state, manifest, [this](const Manifest& saved) { tidy_up(saved); });
  newest = progress;
  triggers.note_save(progress, begin, saver.busy());
  if (is_asked) saver.wait_and_rethrow();  // Before `should_stop` says so, it must be on disk.
  signals.acknowledge(asked);
  if (last && before == Before::kRethrowAfter) last->rethrow_once();
  return manifest.name;
}

// What `is_due` was told of this very point is not asked again: a function given to `when` may
// count its calls.
bool CheckpointManager::Impl::due(const Progress& progress) {
  if (answered && answered->is_for(progress)) return answered->due;
  return triggers.due(progress, saver.busy());
}

// Nothing is in flight. What was to be the newest checkpoint may have failed since.
bool CheckpointManager::Impl::is_newest(const Progress& progress) const {
  const auto last = saver.last();
  return newest && is_same(*newest, progress) && !(last && last->failed());
}

// The scan after the last save has seen all sequences. Without the lock another manager may have
// saved since; after a failure or a restore, what is there may be something else.
int64_t CheckpointManager::Impl::next_sequence() {
  const std::optional<int64_t> known = std::exchange(highest_sequence, std::nullopt);
  const int64_t highest = known && options.lock() ? *known : directory.highest_sequence();
  return std::max(highest, removed_sequence) + 1;
}

Manifest CheckpointManager::Impl::new_manifest(const Progress& progress) {
  check_metrics(progress);
  Manifest manifest;
  manifest.sequence = next_sequence();
  manifest.name = directory.free_name(name_template.render(progress));
  // The directory may have been renamed, in another encoding.
  manifest.parent = base::valid_utf8(resumed_from());
  manifest.created = base::utc_now();
  manifest.run_id = run_id;
  manifest.libtorch_version = compat::torch_version();
  manifest.library_version = TORCH_CHECKPOINT_VERSION;
  manifest.progress = progress;
  manifest.keep = options.keep();
  return manifest;
}

void CheckpointManager::Impl::retire(const Manifest& saved,
                                     std::vector<store::FoundCheckpoint> found) {
  const store::Decision decision = retention.apply(directory, std::move(found), resumed_from());
  warn_of_missing_metrics(saved, decision);
}

// Of a metric that no checkpoint has, retention itself has warned, and once.
void CheckpointManager::Impl::warn_of_missing_metrics(const Manifest& saved,
                                                      const store::Decision& decision) const {
  const std::vector<std::string>& warned = decision.unranked_metrics;
  for (const std::string& metric : store::missing_metrics(saved.progress, options.keep())) {
    if (std::find(warned.begin(), warned.end(), metric) != warned.end()) continue;
    base::log_warning("checkpoint '" + directory.path_of(saved.name) + "' has no " + metric +
                      " (missing or NaN): it ranks worst for keep_best");
  }
}

// The checkpoint is safe by now: what fails here is logged, and tried again after the next save.
void CheckpointManager::Impl::tidy_up(const Manifest& saved) {
  attempt(kSaved, [&] { directory.point_link(store::kLatestLink, saved.name); });
  attempt(kSaved, [&] { store::append_history(directory, store::history_entry(saved)); });
  const bool retired = options.keep().empty() || attempt(kSaved, [&] {
                         std::vector<store::FoundCheckpoint> found = directory.scan();
                         highest_sequence =
                             std::max(saved.sequence, store::highest_sequence(found));
                         attempt(kSaved, [&] { point_best(found); });
                         retire(saved, std::move(found));
                       });
  // Not after a failure: where the directory could not be synced, what was renamed out of sight may
  // be back under its name after a crash, and must be whole. And without the lock another writer
  // may be at work in its staging directory.
  if (options.lock() && retired) attempt(kSaved, [&] { store::sweep(directory); });
}

// Only where the options say what is best: a link of the user's own making is nobody else's matter.
void CheckpointManager::Impl::point_best(const std::vector<store::FoundCheckpoint>& found) {
  if (options.keep().best.empty()) return;
  const size_t best = store::best_of(found, store::default_best_rule(options.keep()));
  if (best < found.size()) directory.point_link(store::kBestLink, found[best].name);
}

void CheckpointManager::Impl::note_restored(const Restored& restored) {
  newest = restored.progress();
  highest_sequence.reset();  // Some may have been set aside.
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

CheckpointManager internal::ManagerAccess::open(store::FileSystem& fs, std::string directory,
                                                const CheckpointManagerOptions& options,
                                                const manager::Triggers::Clock& clock) {
  return CheckpointManager(
      std::make_unique<CheckpointManager::Impl>(fs, directory, options, clock));
}

CheckpointManager::CheckpointManager(std::string directory, CheckpointManagerOptions options)
    : CheckpointManager(internal::ManagerAccess::open(store::posix_file_system(),
                                                      std::move(directory), options)) {}
CheckpointManager::CheckpointManager(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
CheckpointManager::CheckpointManager(CheckpointManager&&) noexcept = default;
CheckpointManager& CheckpointManager::operator=(CheckpointManager&&) noexcept = default;
CheckpointManager::~CheckpointManager() = default;

std::string CheckpointManager::save(const State& state, const Progress& progress) {
  impl_->require_writable("save");
  const std::lock_guard<std::mutex> hold(impl_->mutex);
  return impl_->save(state, progress);
}

std::optional<std::string> CheckpointManager::save_if_due(const State& state,
                                                          const Progress& progress) {
  impl_->require_writable("save_if_due");
  const std::lock_guard<std::mutex> hold(impl_->mutex);
  if (const char* const doubt = impl_->doubts.note(progress)) {
    base::log_warning("checkpoints in '" + directory() + "': " + doubt);
  }
  const bool is_due = impl_->due(progress);
  impl_->answered.reset();
  const bool is_asked = impl_->signals.due();
  if (!is_due && !is_asked) {
    if (!impl_->saver.busy()) impl_->saver.wait_and_rethrow();
    return std::nullopt;
  }
  const bool may_skip = !is_asked && impl_->options.on_busy() == OnBusy::kSkip;
  if (may_skip && impl_->saver.busy()) return std::nullopt;
  return impl_->save(state, progress);
}

bool CheckpointManager::is_due(const Progress& progress) {
  const std::lock_guard<std::mutex> hold(impl_->mutex);
  const bool due = impl_->due(progress);
  impl_->answered = Impl::Answer{progress.epoch, progress.step, progress.epoch_done, due};
  return due || impl_->signals.due();
}

std::optional<std::string> CheckpointManager::save_final(const State& state,
                                                         const Progress& progress) {
  impl_->require_writable("save_final");
  const std::lock_guard<std::mutex> hold(impl_->mutex);
  impl_->saver.wait();
  if (impl_->is_newest(progress)) return std::nullopt;
  std::string name = impl_->save(state, progress, Before::kSuperseded);
  impl_->saver.wait_and_rethrow();
  return name;
}

void CheckpointManager::wait() {
  const std::lock_guard<std::mutex> hold(impl_->mutex);
  impl_->saver.wait_and_rethrow();
}

SaveHandle CheckpointManager::last_save() const {
  const std::lock_guard<std::mutex> hold(impl_->mutex);
  return SaveHandle(impl_->saver.last());
}

void CheckpointManager::release_memory() {
  const std::lock_guard<std::mutex> hold(impl_->mutex);
  impl_->saver.release_memory();
}

bool CheckpointManager::should_stop() const { return impl_->signals.should_stop(); }

std::optional<Restored> CheckpointManager::restore_latest(State& state,
                                                          const RestoreOptions& options) {
  const std::lock_guard<std::mutex> hold(impl_->mutex);
  if (!impl_->options.read_only()) {
    impl_->warn_of_names(state);
    impl_->take_lock_to_restore();
  }
  impl_->saver.wait();
  std::optional<Restored> restored = manager::restore_newest(
      impl_->directory, state, options,
      impl_->options.read_only() ? manager::Damaged::kLeave : manager::Damaged::kSetAside);
  if (restored) impl_->note_restored(*restored);
  if (!impl_->options.read_only()) impl_->saver.prepare_for(state);
  return restored;
}

int64_t CheckpointManager::resume(State& state, Progress& progress, const RestoreOptions& options) {
  const std::optional<Restored> restored = restore_latest(state, options);
  if (!restored) return 0;
  progress = restored->progress();
  return progress.next_epoch();
}

Restored CheckpointManager::restore(State& state, const std::string& name,
                                    const RestoreOptions& options) {
  const std::lock_guard<std::mutex> hold(impl_->mutex);
  impl_->saver.wait();
  impl_->directory.require_held();
  impl_->require_name(name);
  Restored restored = manager::restore_one(impl_->directory, name, state, options);
  impl_->note_restored(restored);
  return restored;
}

std::optional<Restored> CheckpointManager::restore_best(State& state,
                                                        const RestoreOptions& options) {
  return restore_best(state, store::default_best_rule(impl_->options.keep()).metric, options);
}

std::optional<Restored> CheckpointManager::restore_best(State& state, const std::string& metric,
                                                        const RestoreOptions& options) {
  const BestRule rule = store::best_rule_for(metric, impl_->options.keep());
  const std::lock_guard<std::mutex> hold(impl_->mutex);
  impl_->saver.wait();
  impl_->directory.require_held();
  std::optional<Restored> restored = manager::restore_best(impl_->directory, state, options, rule);
  if (restored) impl_->note_restored(*restored);
  return restored;
}

std::vector<CheckpointInfo> CheckpointManager::list() const {
  return manager::checkpoint_infos(impl_->decide(), impl_->options.keep());
}

std::optional<CheckpointInfo> CheckpointManager::latest() const {
  std::vector<CheckpointInfo> all = list();
  const auto newest = std::find_if(all.rbegin(), all.rend(),
                                   [](const CheckpointInfo& info) { return info.damage.empty(); });
  if (newest == all.rend()) return std::nullopt;
  return std::move(*newest);
}

std::optional<CheckpointInfo> CheckpointManager::best() const {
  return best(store::default_best_rule(impl_->options.keep()).metric);
}

std::optional<CheckpointInfo> CheckpointManager::best(const std::string& metric) const {
  return best(metric, store::best_rule_for(metric, impl_->options.keep()).mode);
}

std::optional<CheckpointInfo> CheckpointManager::best(const std::string& metric, Mode mode) const {
  store::Decision decision = impl_->decide();
  const size_t place = store::best_of(decision.found, {1, metric, mode});
  if (place == decision.found.size()) return std::nullopt;
  return std::move(manager::checkpoint_infos(std::move(decision), impl_->options.keep())[place]);
}

void CheckpointManager::pin(const std::string& name) {
  impl_->require_writable("pin");
  store::pin(impl_->directory, name);
}

bool CheckpointManager::unpin(const std::string& name) {
  impl_->require_writable("unpin");
  return store::unpin(impl_->directory, name);
}

void CheckpointManager::remove(const std::string& name) {
  impl_->require_writable("remove");
  const std::lock_guard<std::mutex> hold(impl_->mutex);
  impl_->take_lock();
  impl_->saver.wait();
  const int64_t sequence = store::remove_checkpoint(impl_->directory, name);
  impl_->removed_sequence = std::max(impl_->removed_sequence, sequence);
  impl_->newest.reset();  // It may be gone: `save_final` must not rely on it.
  impl_->highest_sequence.reset();
  attempt("the checkpoint is removed", [&] { impl_->point_best(impl_->directory.scan()); });
}

PruneReport CheckpointManager::prune(DryRun dry_run) {
  if (dry_run == DryRun::kYes) {
    return impl_->decide().report();
  }
  impl_->require_writable("prune");
  const std::lock_guard<std::mutex> hold(impl_->mutex);
  impl_->take_lock();
  impl_->saver.wait();
  return impl_->retention.apply(impl_->directory, impl_->resumed_from()).report();
}

void CheckpointManager::verify(const std::string& name) const {
  impl_->directory.require_held();
  impl_->require_name(name);
  store::verify_checkpoint(impl_->directory, name);
}

const std::string& CheckpointManager::directory() const { return impl_->directory.path(); }

const CheckpointManagerOptions& CheckpointManager::options() const { return impl_->options; }

const char* version() noexcept { return TORCH_CHECKPOINT_VERSION; }

}  // namespace checkpoint
