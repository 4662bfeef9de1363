#include <checkpoint/error.h>
#include <checkpoint/manager.h>
#include <checkpoint/version.h>

#include "format/archive_writer.h"
#include "format/pth_writer.h"
#include "manager/manager_access.h"
#include "manager/name_template.h"
#include "manager/resume.h"
#include "manager/retention.h"
#include "manager/triggers.h"
#include "state/capture.h"
#include "state/torch_compat.h"
#include "store/clock.h"
#include "store/log.h"
#include "store/manifest.h"
#include "store/names.h"
#include "store/retire.h"
#include "store/transaction.h"
#include "store/verify.h"
#include "store/writer_lock.h"

#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <utility>

namespace checkpoint {
namespace {

// What an archive needs beside the tensors' bytes: a header and a line of code for each tensor.
constexpr uint64_t kBytesBesideEachTensor = 1024;
constexpr uint64_t kBytesBeside = uint64_t{1} << 20;

CheckpointManagerOptions checked(CheckpointManagerOptions options) {
  if (options.every_n_epochs() < 0 || options.every_n_steps() < 0 || options.keep_last() < 0) {
    throw Error(ErrorCode::kInvalidArgument,
                "CheckpointManagerOptions: every_n_epochs, every_n_steps and keep_last must not be "
                "negative");
  }
  if (options.format() == Format::kSafetensors) {
    throw Error(ErrorCode::kUnsupported,
                "a checkpoint cannot be a safetensors file, which holds tensors alone", "", 0,
                "Choose Format::kArchive or Format::kPth; load() and save() convert.");
  }
  return options;
}

}  // namespace

struct CheckpointManager::Impl {
  Impl(store::FileSystem& fs, std::string path, const CheckpointManagerOptions& given)
      : options(checked(given)),
        directory(fs, std::move(path)),
        name_template(options.name()),
        triggers(options),
        retention(options.keep_last(), options.verify_before_retire()) {}

  // Throws Error(invalid_argument) for a name that leads out of the directory.
  std::string path_of(const std::string& name) const;
  void become_writer();
  std::string save(const State& state, const Progress& progress);
  std::string write(const state::Capture& captured, const Progress& progress);
  void tidy_up(const std::string& newest);

  const CheckpointManagerOptions options;
  const store::Directory directory;
  const manager::NameTemplate name_template;
  const std::string run_id = store::random_id();

  std::mutex mutex;  // Guards what follows.
  std::optional<store::WriterLock> lock;
  pid_t writer_process = 0;
  std::string parent;
  manager::Triggers triggers;
  manager::Retention retention;
};

std::string CheckpointManager::Impl::path_of(const std::string& name) const {
  if (!store::is_plain_name(name)) {
    throw Error(ErrorCode::kInvalidArgument, "'" + name + "' is no name of a checkpoint",
                directory.path(), 0, "list() gives the names.");
  }
  return directory.path_of(name);
}

void CheckpointManager::Impl::become_writer() {
  if (writer_process == 0) {
    directory.create();
    if (options.lock()) lock.emplace(directory.fs(), directory.path());
    writer_process = ::getpid();
  } else if (writer_process != ::getpid()) {
    throw Error(ErrorCode::kLocked, "this manager writes for the process that was forked",
                directory.path(), 0, "Make a CheckpointManager of its own in the child.");
  }
}

std::string CheckpointManager::Impl::save(const State& state, const Progress& progress) {
  become_writer();
  const std::string name = write(state::capture(state, progress), progress);
  triggers.note(progress);
  tidy_up(name);
  return name;
}

std::string CheckpointManager::Impl::write(const state::Capture& captured,
                                           const Progress& progress) {
  Manifest manifest;
  manifest.sequence = directory.next_sequence();
  manifest.name = directory.free_name(name_template.render(progress));
  manifest.parent = parent;
  manifest.created = store::utc_now();
  manifest.run_id = run_id;
  manifest.libtorch_version = compat::torch_version();
  manifest.library_version = TORCH_CHECKPOINT_VERSION;
  manifest.progress = progress;
  manifest.items = captured.items;

  store::TensorTable table;
  table.optimizer_parameters = captured.optimizer_parameters;
  table.eval_modules = captured.eval_modules;
  store::Transaction transaction(
      directory, {TORCH_CHECKPOINT_VERSION, run_id, manifest.sequence},
      captured.tensor_bytes + captured.tensor_count * kBytesBesideEachTensor + kBytesBeside);
  const bool pth = options.format() == Format::kPth;
  const char* const content = pth ? store::kPthFile : store::kArchiveFile;
  manifest.files.push_back(transaction.write_file(content, [&](store::ByteSink& sink) {
    table.tensors = pth ? format::write_pth_with_table(captured.tree, sink)
                        : format::write_archive(captured.tree, sink);
  }));
  for (store::TensorEntry& tensor : table.tensors) {
    tensor.file = content;
    const auto device = captured.devices.find(tensor.key);
    tensor.device = device != captured.devices.end() ? device->second : "cpu";
  }
  manifest.files.push_back(transaction.write_file(
      store::kTensorTableFile,
      [&](store::ByteSink& sink) { store::write_tensor_table(table, sink); }));
  transaction.commit(manifest);
  store::log_info("saved checkpoint '" + directory.path_of(manifest.name) + "'");
  return manifest.name;
}

// The checkpoint is safe by now: what fails here is logged, and tried again after the next save.
void CheckpointManager::Impl::tidy_up(const std::string& newest) {
  const auto attempt = [](const auto& step) {
    try {
      step();
    } catch (const std::exception& error) {
      store::log_warning(std::string("the checkpoint is saved, but: ") + error.what());
    }
  };
  attempt([&] { directory.point_latest(newest); });
  attempt([&] { retention.apply(directory, newest); });
  // Without the lock another writer may be at work in its staging directory.
  if (options.lock()) attempt([&] { store::sweep(directory); });
}

CheckpointManager internal::ManagerAccess::open(store::FileSystem& fs, std::string directory,
                                                const CheckpointManagerOptions& options) {
  return CheckpointManager(
      std::make_unique<CheckpointManager::Impl>(fs, std::move(directory), options));
}

CheckpointManager::CheckpointManager(std::string directory, CheckpointManagerOptions options)
    : CheckpointManager(internal::ManagerAccess::open(store::posix_file_system(),
                                                      std::move(directory), options)) {}
CheckpointManager::CheckpointManager(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
CheckpointManager::CheckpointManager(CheckpointManager&&) noexcept = default;
CheckpointManager& CheckpointManager::operator=(CheckpointManager&&) noexcept = default;
CheckpointManager::~CheckpointManager() = default;

std::string CheckpointManager::save(const State& state, const Progress& progress) {
  const std::lock_guard<std::mutex> hold(impl_->mutex);
  return impl_->save(state, progress);
}

std::optional<std::string> CheckpointManager::save_if_due(const State& state,
                                                          const Progress& progress) {
  const std::lock_guard<std::mutex> hold(impl_->mutex);
  if (!impl_->triggers.due(progress)) return std::nullopt;
  return impl_->save(state, progress);
}

std::optional<Restored> CheckpointManager::restore_latest(State& state,
                                                          const RestoreOptions& options) {
  const std::lock_guard<std::mutex> hold(impl_->mutex);
  impl_->become_writer();
  std::optional<Restored> restored = manager::restore_newest(impl_->directory, state, options);
  if (restored) {
    impl_->parent = restored->manifest.name;
    impl_->triggers.note(restored->progress);
    store::log_info("restored checkpoint '" + impl_->directory.path_of(impl_->parent) + "'");
  }
  return restored;
}

Restored CheckpointManager::restore(State& state, const std::string& name,
                                    const RestoreOptions& options) {
  const std::lock_guard<std::mutex> hold(impl_->mutex);
  Restored restored = manager::restore_verified(
      store::verify_checkpoint(impl_->directory.fs(), impl_->path_of(name)), state, options);
  restored.manifest.name = name;
  impl_->parent = name;
  impl_->triggers.note(restored.progress);
  return restored;
}

std::vector<CheckpointInfo> CheckpointManager::list() const {
  std::vector<CheckpointInfo> result;
  for (store::FoundCheckpoint& found : impl_->directory.scan()) {
    result.push_back({std::move(found.name), std::move(found.path), std::move(found.manifest),
                      found.problem ? found.problem->what() : ""});
  }
  return result;
}

std::optional<CheckpointInfo> CheckpointManager::latest() const {
  const std::vector<CheckpointInfo> all = list();
  const auto newest = std::find_if(all.rbegin(), all.rend(),
                                   [](const CheckpointInfo& info) { return info.damage.empty(); });
  if (newest == all.rend()) return std::nullopt;
  return *newest;
}

void CheckpointManager::verify(const std::string& name) const {
  store::verify_checkpoint(impl_->directory.fs(), impl_->path_of(name));
}

const std::string& CheckpointManager::directory() const { return impl_->directory.path(); }

}  // namespace checkpoint
