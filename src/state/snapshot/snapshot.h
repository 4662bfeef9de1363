#pragma once

#include "state/snapshot/arena.h"
#include "state/snapshot/capture.h"

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <memory>

namespace checkpoint::state {

class DeviceCopies;

/// A copy of a capture's tensors, for an asynchronous save. Holds one snapshot at a time: `take`,
/// `release` and the destructor end the one before. Not thread-safe.
class Snapshot {
 public:
  Snapshot();
  ~Snapshot();

  /// Fetches memory for a State of `bytes` bytes, in the background. Never throws.
  void prefault(size_t bytes) noexcept { arena_.prefault(bytes); }
  /// Copies every tensor that shares its memory with a live one, and puts the copies into
  /// `captured`. Tied tensors stay tied. After the call, live CPU tensors may change. Work that is
  /// queued on the current stream after the call may change tensors on other devices. Throws
  /// std::bad_alloc if there is not enough memory, and Error(device); `captured` is then as it was.
  void take(Capture& captured);
  /// Copies only the tensors on other devices, which then must not change before `fetch` has
  /// returned. For a save that waits. Throws Error(device).
  void take_from_devices(const Capture& captured);
  /// Brings the tensors on other devices to the host. Call this before encoding. May be called on
  /// another thread than `take`. Throws Error(device).
  void fetch(Capture& captured);
  /// Gives the memory back.
  void release();
  void forget_threads() noexcept { arena_.forget_threads(); }

 private:
  Arena arena_;
  std::unique_ptr<DeviceCopies> devices_;
};

}  // namespace checkpoint::state
