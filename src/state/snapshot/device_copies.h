#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>

#include <memory>
#include <unordered_map>
#include <vector>

namespace checkpoint::state {

/// Copies of CUDA tensors, taken without making the host wait for the device. If the device has
/// enough memory, the copies are made there, in the order of the training's own stream. They go to
/// pinned host memory later, on a stream of their own. Otherwise they go to pinned memory at once,
/// and the training's stream waits for that. Uses only c10's device-generic streams and events.
class DeviceCopies {
 public:
  /// Queues copies of all tensors. Work that is queued on the current streams afterwards may change
  /// the live tensors. Throws what LibTorch throws.
  explicit DeviceCopies(const std::vector<at::Tensor>& live);

  /// Waits until the copies are in host memory. Returns them by the live tensor that each was made
  /// from. May be called on any thread.
  std::unordered_map<const c10::TensorImpl*, at::Tensor> fetch();

 private:
  // The tensors of one device.
  struct Device {
    std::vector<at::Tensor> live;
    std::vector<at::Tensor> on_device;  // Empty if `live` goes straight to `on_host`.
    std::vector<at::Tensor> on_host;
    c10::Stream side;
    c10::Event ready;
  };

  static bool copy_on_device(Device& device);
  static void copy_to_host(Device& device, const std::vector<at::Tensor>& from);

  std::vector<Device> devices_;
};

}  // namespace checkpoint::state
