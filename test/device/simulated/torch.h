// Inside the simulator: the half that LibTorch calls. What differs between LibTorch 1.13 and 2.14
// is here.

#pragma once

#include "device/simulated/device.h"

#include <ATen/ATen.h>
#include <ATen/core/Generator.h>
#include <c10/core/Allocator.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>
#include <torch/version.h>

#if TORCH_VERSION_MAJOR >= 2
#define SIMULATED_TORCH_2 1
#include <optional>
#else
#define SIMULATED_TORCH_2 0
#endif

namespace simulated {

#if SIMULATED_TORCH_2
template <typename T>
using Optional = std::optional<T>;
constexpr auto kNone = std::nullopt;
#else
template <typename T>
using Optional = c10::optional<T>;
constexpr auto kNone = c10::nullopt;
#endif

c10::Allocator* allocator_of(c10::DeviceType type);
c10::Allocator* pinned_allocator();
const at::Generator& default_generator(c10::Device device);
/// A CPU generator for the next `numbers` numbers of a simulated one.
at::Generator next_numbers(const at::Generator& generator, uint64_t numbers);

bool is_on_device(const at::Tensor& tensor);
/// The tensor as its device sees it: a CPU tensor over the memory behind, which it does not own.
at::Tensor seen_by_device(const at::Tensor& tensor);
/// Where the memory of a tensor's storage begins.
void* storage_begin(const at::Tensor& tensor);

/// Queues work on the current stream.
void queue(Device& device, Work work, std::function<void()> run);
/// Waits for the current stream where a real device would not: kernels whose results decide the
/// size of a tensor run on the host here.
void finish_quietly(Device& device);

at::Tensor empty_strided(at::IntArrayRef sizes, at::IntArrayRef strides,
                         Optional<at::ScalarType> dtype, Optional<at::Layout> layout,
                         Optional<at::Device> device, Optional<bool> pin);
at::Tensor& copy_(at::Tensor& self, const at::Tensor& source, bool non_blocking);
const at::Tensor& resize_(const at::Tensor& self, at::IntArrayRef sizes,
                          Optional<at::MemoryFormat> format);

void register_tensors(torch::Library& aten);
void register_fused_kernels(torch::Library& aten);
/// For all operations that have no kernel of their own.
void register_fallback(torch::Library& all);
void register_guard(const Kind& kind);
void register_hooks(const Kind& kind);

}  // namespace simulated
