#pragma once

#include "state/snapshot/arena.h"
#include "state/snapshot/capture.h"

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <memory>

namespace checkpoint::state {

class DeviceCopies;

/// Takes the tensors of a capture out of the hands of training. One snapshot at a time: taking the
/// next, releasing or destroying it ends the one before. Not thread-safe.
class Snapshot {
 public:
  Snapshot();
  ~Snapshot();

  /// Fetches memory for a State of `bytes` in the background.
  void prefault(size_t bytes) noexcept { arena_.prefault(bytes); }
  /// Copies every tensor that shares its memory with a live one, and puts the copies into
  /// `captured`, tied tensors still tied. When it returns, the live CPU tensors may change; those
  /// of other devices may be changed by what is queued on the current stream from now on. Throws
  /// std::bad_alloc if memory is short; then `captured` is as it was.
  void take(Capture& captured);
  /// Call this before encoding. Brings what lives on other devices to the host. May be called
  /// on another thread than `take`.
  void fetch(Capture& captured);
  /// Gives the memory back.
  void release();
  void forget_thread() noexcept { arena_.forget_thread(); }

 private:
  Arena arena_;
  std::unique_ptr<DeviceCopies> devices_;
};

}  // namespace checkpoint::state
