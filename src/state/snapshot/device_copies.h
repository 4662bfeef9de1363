#pragma once

#include "format/tree/device_copy.h"

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>

#include <list>
#include <unordered_map>
#include <vector>

namespace checkpoint::state {

/// Copies of tensors on devices with streams, taken without making the host wait for the device. If
/// the device has enough memory, the copies are made there, in the order of the training's own
/// stream. They go to pinned host memory later, on a stream of their own. Otherwise they go to
/// pinned memory at once, and the training's stream waits for that. Uses only c10's streams and
/// events, which are the same for all types of devices.
class DeviceCopies {
 public:
  enum class Way {
    kByDevice,        ///< Through copies on the device, if it has room.
    kStraightToHost,  ///< To the host at once: for a caller that waits anyway.
  };

  /// Queues copies of all tensors, which may have any layout. Work that is queued on the current
  /// streams afterwards may change the live tensors. Throws Error(device).
  explicit DeviceCopies(const std::vector<at::Tensor>& live, Way way = Way::kByDevice);
  /// Waits for the copies that are still queued. In a forked child, which must not use a device,
  /// nothing is awaited and nothing is freed.
  ~DeviceCopies();
  DeviceCopies(const DeviceCopies&) = delete;
  DeviceCopies& operator=(const DeviceCopies&) = delete;

  /// Waits until the copies are in host memory. Returns them by the live tensor that each was made
  /// from: dense, with the live tensor's requires_grad; tied tensors share one memory. May be
  /// called on any thread. Throws Error(device).
  std::unordered_map<const c10::TensorImpl*, at::Tensor> fetch();

 private:
  class OneDevice;
  std::list<OneDevice> devices_;
  const int process_;
};

}  // namespace checkpoint::state
