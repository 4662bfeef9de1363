#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>

#include <memory>
#include <unordered_map>
#include <vector>

namespace checkpoint::state {

/// Copies of CUDA tensors, taken without the host waiting for the device. Where the device has the
/// memory, they are made there, in the order of the training's own stream, and go to pinned host
/// memory later, on a stream of their own. Where it has not, they go to pinned memory at once, and
/// the training's stream waits for that. Written against c10's device-generic streams and events.
class DeviceCopies {
 public:
  /// Queues copies of all tensors. What is queued on the current streams afterwards may change
  /// them. Throws what LibTorch throws.
  explicit DeviceCopies(const std::vector<at::Tensor>& live);

  /// Waits until the copies are in host memory; returns them by the tensor that each was made of.
  /// Any thread.
  std::unordered_map<const c10::TensorImpl*, at::Tensor> fetch();

 private:
  // The tensors of one device.
  struct Device {
    std::vector<at::Tensor> live;
    std::vector<at::Tensor> on_device;  // Empty: they are on their way to `on_host`.
    std::vector<at::Tensor> on_host;
    c10::Stream side;
    c10::Event ready;
  };

  static bool copy_on_device(Device& device);
  static void copy_to_host(Device& device, const std::vector<at::Tensor>& from);

  std::vector<Device> devices_;
};

}  // namespace checkpoint::state
