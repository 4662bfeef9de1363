// CheckpointManager's public functions: each checks what the options allow, takes the mutex, and
// calls Impl (manager_impl.h), which does the work. `list`, `latest`, `best`, `verify`, `pin`,
// `unpin` and `should_stop` do not take it: they must not wait for a save.

#include <checkpoint/manager.h>
#include <checkpoint/version.h>

#include "base/log.h"
#include "manager/checkpoint_info.h"
#include "manager/manager_access.h"
#include "manager/manager_impl.h"
#include "manager/resume.h"
#include "store/directory/pins.h"
#include "store/directory/verify.h"
#include "store/retention/ranking.h"

#include <algorithm>
#include <mutex>
#include <utility>

namespace checkpoint {

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
  const Impl::Due due = impl_->due(progress);
  impl_->answered.reset();
  if (!due.due) {
    if (!impl_->saver.busy()) impl_->saver.wait_and_rethrow();
    if (!impl_->saver.is_prepared()) impl_->prepare_for(state);
    return std::nullopt;
  }
  const bool may_skip = !due.asked && impl_->options.on_busy() == OnBusy::kSkip;
  if (may_skip && impl_->saver.busy()) return std::nullopt;
  return impl_->save(state, progress, due);
}

bool CheckpointManager::is_due(const Progress& progress) {
  const std::lock_guard<std::mutex> hold(impl_->mutex);
  const Impl::Due due = impl_->due(progress);
  impl_->answered = Impl::Answer{progress.epoch, progress.step, progress.epoch_done, due};
  return due.due;
}

std::optional<std::string> CheckpointManager::save_final(const State& state,
                                                         const Progress& progress) {
  impl_->require_writable("save_final");
  const std::lock_guard<std::mutex> hold(impl_->mutex);
  return impl_->save_final(state, progress);
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
  const auto damaged =
      impl_->options.read_only() ? manager::Damaged::kLeave : manager::Damaged::kSetAside;
  std::optional<Restored> restored =
      impl_->restore(state, options, "restore_latest", [&](const manager::RestoreOne& restore_one) {
        if (!impl_->options.read_only()) impl_->take_lock_to_restore(state);
        return manager::restore_newest(impl_->directory, restore_one, damaged);
      });
  if (!impl_->options.read_only()) impl_->prepare_for(state);
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
  const auto choose = [&](const manager::RestoreOne& restore_one) {
    impl_->directory.require_held();
    impl_->require_name(name);
    return std::make_optional(restore_one(name));
  };
  return *impl_->restore(state, options, "restore", choose);
}

std::optional<Restored> CheckpointManager::restore_best(State& state,
                                                        const RestoreOptions& options) {
  return restore_best(state, store::default_best_rule(impl_->options.keep()).metric, options);
}

std::optional<Restored> CheckpointManager::restore_best(State& state, const std::string& metric,
                                                        const RestoreOptions& options) {
  const BestRule rule = store::best_rule_for(metric, impl_->options.keep());
  const std::lock_guard<std::mutex> hold(impl_->mutex);
  const auto choose = [&](const manager::RestoreOne& restore_one) {
    impl_->directory.require_held();
    return manager::restore_best(impl_->directory, restore_one, rule);
  };
  return impl_->restore(state, options, "restore_best", choose);
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
  impl_->require_leader("remove");
  const std::lock_guard<std::mutex> hold(impl_->mutex);
  impl_->remove(name);
}

PruneReport CheckpointManager::prune(DryRun dry_run) {
  if (dry_run == DryRun::kYes) {
    return impl_->decide().report();
  }
  impl_->require_leader("prune");
  const std::lock_guard<std::mutex> hold(impl_->mutex);
  impl_->take_lock();
  impl_->saver.wait();
  return impl_->retention.apply(impl_->directory, impl_->resumed_from()).report();
}

void CheckpointManager::verify(const std::string& name) const {
  impl_->directory.require_held();
  impl_->require_name(name);
  try {
    store::verify_checkpoint(impl_->directory, name);
  } catch (const Error& error) {
    impl_->saver.last_checkpoint().doubt_after(error);
    throw;
  }
}

const std::string& CheckpointManager::directory() const { return impl_->directory.path(); }

const CheckpointManagerOptions& CheckpointManager::options() const { return impl_->options; }

const char* version() noexcept { return TORCH_CHECKPOINT_VERSION; }

}  // namespace checkpoint
