// All that this library knows about devices other than the CPU: CUDA (ROCm's too, which LibTorch
// calls CUDA), XPU, MPS, PrivateUse1 and later ones. LibTorch is asked what a type of device can
// do; no type is treated in a way of its own.

#pragma once

#include <checkpoint/error.h>

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/util/Exception.h>

#include <optional>
#include <string>
#include <vector>

namespace checkpoint::compat {

/// Returns whether copies from this device can be queued on a stream of their own, with events, so
/// that the host need not wait. A type without them (MPS) is copied from synchronously. Asked once
/// for each type. `device` must be one that tensors are on: the question uses it. Thread-safe.
bool has_streams(c10::Device device);

/// Returns whether tensors on this device may have no storage, as XLA's.
bool may_lack_storage(c10::Device device);

/// Returns an uninitialized CPU tensor for copies from a device. If `pinned`, its memory is pinned,
/// so that the host need not wait for the copy. If pinned memory is not to be had, sets `pinned` to
/// false: the memory is plain then, and copies take longer. Throws std::bad_alloc.
at::Tensor empty_for_copy(at::IntArrayRef sizes, at::IntArrayRef strides, at::ScalarType dtype,
                          bool& pinned);

/// Throws Error(incompatible), naming the tensor and the file, if this machine does not have the
/// device to which a tensor must go.
void check_device(c10::Device device, const std::string& key, const std::string& path);

/// Returns the device with this name: "cuda:0". A type that this LibTorch does not know ("npu:0")
/// belongs to a backend that is not loaded here: it is taken for PrivateUse1. Empty for what is not
/// a device's name at all.
std::optional<c10::Device> device_of(const std::string& name);

/// Returns the devices that have a random generator and that this process has used. Asking creates
/// no context on a device. In LibTorch 1.13, only CUDA's are found.
std::vector<c10::Device> devices_with_generators_in_use();
/// Returns the default generator of a device.
at::Generator default_generator(c10::Device device);

/// Returns whether a saved state of a device's generator, of this many bytes, can be used where
/// states have `live_bytes`. CUDA's state ends with the seed and the offset in all versions of
/// LibTorch, 8 bytes each; 1.13 puts 800 bytes of an older generator before them. All others must
/// be of one size.
bool generator_state_fits(c10::Device device, int64_t saved_bytes, int64_t live_bytes);
/// Returns such a saved state as this version takes it. `live` is a state of this version.
at::Tensor convert_generator_state(const at::Tensor& saved, const at::Tensor& live);

/// Returns the Error(device) for what LibTorch threw. `what` could not be done: "copy the state
/// from cuda:0".
Error device_error(const c10::Error& error, const std::string& what);

/// Calls a function that uses a device. What LibTorch throws becomes Error(device).
template <typename Call>
decltype(auto) on_device(const std::string& what, Call&& call) {
  try {
    return call();
  } catch (const c10::Error& error) {
    throw device_error(error, what);
  }
}

}  // namespace checkpoint::compat
