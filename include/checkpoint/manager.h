#pragma once

#include <checkpoint/export.h>
#include <checkpoint/format.h>
#include <checkpoint/manifest.h>
#include <checkpoint/restore.h>
#include <checkpoint/state.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace checkpoint {

namespace internal {
struct ManagerAccess;
}  // namespace internal

/// What a manager does by itself. Chained, as LibTorch's own options are.
class CHECKPOINT_API CheckpointManagerOptions {
 public:
  /// `save_if_due` saves when an epoch is done and (epoch + 1) % n == 0. 0 (default): never.
  CheckpointManagerOptions& every_n_epochs(int64_t n) { return set(every_n_epochs_, n); }
  /// `save_if_due` saves when `step` has reached another multiple of n. 0 (default): never.
  CheckpointManagerOptions& every_n_steps(int64_t n) { return set(every_n_steps_, n); }
  /// How many of the newest checkpoints stay; older ones are removed after each save, once the new
  /// one is on disk. 0 (default): all stay.
  CheckpointManagerOptions& keep_last(int64_t n) { return set(keep_last_, n); }
  /// How checkpoints are called, in fmt's syntax: {epoch}, {step}, {loss} and any metric, each with
  /// fmt's format specification ("{epoch:04d}-{val_accuracy:.4f}"). A missing metric reads "none".
  /// A name is a label, not an identity: an equal one gets "-v2".
  CheckpointManagerOptions& name(std::string name_template) {
    return set(name_, std::move(name_template));
  }
  /// Before the last checkpoint that is known to read back well is removed, the new one is read
  /// back from the disk. Default: true; false saves that reading, and trusts the disk.
  CheckpointManagerOptions& verify_before_retire(bool value) {
    return set(verify_before_retire_, value);
  }
  /// Whether a lock file keeps a second writer out. Default: true. For file systems without flock.
  CheckpointManagerOptions& lock(bool value) { return set(lock_, value); }
  /// What the file in each checkpoint is. kArchive (default): checkpoint.pt, for C++ and
  /// `torch.jit.load`. kPth: checkpoint.pth, for Python's `torch.load`; it takes any name, and time
  /// linear in the number of tensors. Checkpoints of both may stand in one directory. kSafetensors
  /// is refused.
  CheckpointManagerOptions& format(Format value) { return set(format_, value); }

  int64_t every_n_epochs() const { return every_n_epochs_; }
  int64_t every_n_steps() const { return every_n_steps_; }
  int64_t keep_last() const { return keep_last_; }
  const std::string& name() const { return name_; }
  bool verify_before_retire() const { return verify_before_retire_; }
  bool lock() const { return lock_; }
  Format format() const { return format_; }

 private:
  template <typename T>
  CheckpointManagerOptions& set(T& field, T value) {
    field = std::move(value);
    return *this;
  }

  int64_t every_n_epochs_ = 0;
  int64_t every_n_steps_ = 0;
  int64_t keep_last_ = 0;
  std::string name_ = "epoch{epoch:04d}-step{step:08d}";
  bool verify_before_retire_ = true;
  bool lock_ = true;
  Format format_ = Format::kArchive;
};

/// A checkpoint as `list` finds it.
struct CheckpointInfo {
  std::string name;    ///< The directory's name now.
  std::string path;    ///< The directory.
  Manifest manifest;   ///< Empty (sequence 0) if it is damaged.
  std::string damage;  ///< Why its manifest cannot be read; empty if it can.
};

/// A directory of checkpoints of one training run.
///
/// Writing managers exclude each other, in this process and in others, from the first `save` or
/// `restore_latest` until the manager is destroyed: Error(locked). Any number may read. One manager
/// may be used from several threads; its calls then follow one another.
class CHECKPOINT_API CheckpointManager {
 public:
  /// Creates nothing: the directory and its missing parents are made by the first `save` or
  /// `restore_latest`. Throws Error(invalid_argument) for options that can never work (a name
  /// template that does not parse).
  explicit CheckpointManager(std::string directory, CheckpointManagerOptions options = {});
  CheckpointManager(CheckpointManager&&) noexcept;
  CheckpointManager& operator=(CheckpointManager&&) noexcept;
  ~CheckpointManager();

  /// Saves now; returns the checkpoint's name when it is durable: written, synced, in place.
  /// Throws Error: no_space, io, locked, invalid_argument, unsupported. When it throws, the older
  /// checkpoints are as they were.
  std::string save(const State& state, const Progress& progress);

  /// Saves if a trigger of the options is due, once for each time it is. Returns the name if so.
  std::optional<std::string> save_if_due(const State& state, const Progress& progress);

  /// Restores the newest checkpoint that is whole. A damaged one is logged, set aside as
  /// NAME.corrupt, and passed over. Empty if the directory holds no checkpoint at all.
  /// Throws Error(corrupt) if there are some and none is whole, Error(incompatible) if it does not
  /// fit the State: then no live object has changed.
  std::optional<Restored> restore_latest(State& state, const RestoreOptions& options = {});

  /// Restores one checkpoint by name. Throws Error: not_found, corrupt, incompatible, io.
  Restored restore(State& state, const std::string& name, const RestoreOptions& options = {});

  /// All checkpoints, oldest first, damaged ones included; from the manifests alone.
  std::vector<CheckpointInfo> list() const;
  /// The newest whose manifest can be read.
  std::optional<CheckpointInfo> latest() const;

  /// Reads one checkpoint whole and checks every digest. Throws Error: not_found, corrupt, io.
  void verify(const std::string& name) const;

  const std::string& directory() const;

 private:
  friend struct internal::ManagerAccess;
  struct Impl;
  explicit CheckpointManager(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace checkpoint
