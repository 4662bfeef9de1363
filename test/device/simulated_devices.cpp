#include "device/device_under_test.h"
#include "device/simulated/simulated_device.h"

#include <torch/version.h>

namespace test {

int device_count() { return simulated::kinds().front().count; }
c10::Device device(int index) { return simulated::device(index); }
void synchronize() { simulated::quiesce(); }
bool in_use(c10::Device device) { return simulated::in_use(device); }
bool has_streams() { return simulated::kinds().front().has_streams; }

// pytorch/pytorch#196975
bool can_be_moved_to() { return device().type() != c10::DeviceType::PrivateUse1; }

bool has_generator() { return device().is_cuda() || TORCH_VERSION_MAJOR >= 2; }
bool has_pinned_memory() { return device().is_cuda() || TORCH_VERSION_MAJOR >= 2; }

}  // namespace test
