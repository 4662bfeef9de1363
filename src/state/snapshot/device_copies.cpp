// Copies CUDA tensors without making the host wait. The constructor queues the copies: on the
// device if it has room, otherwise straight to pinned host memory. `fetch` brings the copies to the
// host, on a stream of their own, and waits for them.

#include "state/snapshot/device_copies.h"

#include <c10/core/DeviceGuard.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>
#include <torch/torch.h>

#include <map>
#include <utility>

namespace checkpoint::state {

DeviceCopies::DeviceCopies(const std::vector<at::Tensor>& live) {
  const torch::NoGradGuard no_grad;
  std::map<c10::DeviceIndex, std::vector<at::Tensor>> by_device;
  for (const at::Tensor& tensor : live) by_device[tensor.device().index()].push_back(tensor);
  for (auto& [index, tensors] : by_device) {
    const c10::Device where = tensors.front().device();
    const c10::impl::VirtualGuardImpl impl(where.type());
    const c10::DeviceGuard guard(where);
    const c10::Stream training = impl.getStream(where);
    devices_.push_back({std::move(tensors),
                        {},
                        {},
                        impl.getStreamFromGlobalPool(where, false),
                        c10::Event(where.type())});
    Device& device = devices_.back();
    const bool has_room = copy_on_device(device);
    device.ready.record(training);
    if (has_room) continue;
    device.ready.block(device.side);
    copy_to_host(device, device.live);
    c10::Event copied(where.type());
    copied.record(device.side);
    copied.block(training);
  }
}

std::unordered_map<const c10::TensorImpl*, at::Tensor> DeviceCopies::fetch() {
  const torch::NoGradGuard no_grad;
  std::unordered_map<const c10::TensorImpl*, at::Tensor> result;
  for (Device& device : devices_) {
    const c10::DeviceGuard guard(device.side.device());
    if (!device.on_device.empty()) {
      device.ready.block(device.side);
      copy_to_host(device, device.on_device);
    }
    device.side.synchronize();
    device.on_device.clear();  // Its memory goes back to training.
    for (size_t i = 0; i < device.live.size(); ++i) {
      at::Tensor copy = device.on_host[i];
      copy.set_requires_grad(device.live[i].requires_grad());
      result.emplace(device.live[i].unsafeGetTensorImpl(), std::move(copy));
    }
  }
  return result;
}

// Copies on the current stream, so that what training queues later comes after the copy.
bool DeviceCopies::copy_on_device(Device& device) {
  try {
    for (const at::Tensor& tensor : device.live) {
      device.on_device.push_back(tensor.detach().clone(at::MemoryFormat::Preserve));
    }
    return true;
  } catch (const c10::Error&) {
    device.on_device.clear();  // Out of memory. Another failure shows again in copy_to_host.
    return false;
  }
}

// Copies on the side stream. The current device must be the tensors' device.
void DeviceCopies::copy_to_host(Device& device, const std::vector<at::Tensor>& from) {
  const c10::StreamGuard guard(device.side);
  for (const at::Tensor& tensor : from) {
    at::Tensor host = at::empty_strided(
        tensor.sizes(), tensor.strides(),
        at::TensorOptions().dtype(tensor.scalar_type()).device(at::kCPU).pinned_memory(true));
    host.copy_(tensor.detach(), /*non_blocking=*/true);
    device.on_host.push_back(std::move(host));
  }
}

}  // namespace checkpoint::state
