#pragma once

#include <checkpoint/export.h>

#include <memory>
#include <string>

namespace checkpoint {

namespace internal {
class SaveResult;
}  // namespace internal

/// A handle to one save: whether it has finished, and with which error. Copies refer to the same
/// save and may outlive the manager. Thread-safe.
class TORCH_CHECKPOINT_API SaveHandle {
 public:
  /// Makes a handle to no save: `done` returns true and `name` is empty.
  SaveHandle() = default;

  /// Returns the checkpoint's name. Empty if there was no save.
  const std::string& name() const;
  /// Returns whether the save has ended, with or without an error. Never waits.
  bool done() const;
  /// Returns whether the save has ended with an error, which `wait` throws. Never waits and never
  /// throws.
  bool failed() const;
  /// Waits until the checkpoint is durable: written, synced and renamed to its name. Throws the
  /// save's error, on each call.
  void wait() const;

 private:
  friend class CheckpointManager;
  explicit SaveHandle(std::shared_ptr<internal::SaveResult> result);

  std::shared_ptr<internal::SaveResult> result_;
};

}  // namespace checkpoint
