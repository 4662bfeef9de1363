#pragma once

#include <torch/torch.h>

namespace test {

/// The devices that this program's tests use: simulated ones in device_test, a machine's own in
/// gpu_test. All of one type.
int device_count();
/// Device `index` of them.
c10::Device device(int index = 0);
/// Waits for all work on them.
void synchronize();
/// Whether anything in this process has used the device.
bool in_use(c10::Device device);
/// Whether copies from it need not make the host wait.
bool has_streams();
/// Whether LibTorch can move a tensor there from the CPU in place, as Module::to does, and knows
/// its generator.
bool can_be_moved_to();
bool has_generator();
/// Whether LibTorch has pinned memory for it: in 1.13, for CUDA alone.
bool has_pinned_memory();

}  // namespace test
