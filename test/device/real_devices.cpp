#include "device/device_under_test.h"

#include <ATen/detail/CUDAHooksInterface.h>

namespace test {

int device_count() {
  return torch::cuda::is_available() ? static_cast<int>(torch::cuda::device_count()) : 0;
}
c10::Device device(int index) { return {c10::kCUDA, static_cast<c10::DeviceIndex>(index)}; }
void synchronize() { torch::cuda::synchronize(); }
bool in_use(c10::Device device) {
  return at::detail::getCUDAHooks().hasPrimaryContext(device.index());
}
bool has_streams() { return true; }
bool can_be_moved_to() { return true; }
bool has_generator() { return true; }
bool has_pinned_memory() { return true; }

}  // namespace test
