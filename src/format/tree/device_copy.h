#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>

namespace checkpoint::format {

// Copies between a device and the host. LibTorch packs a tensor with gaps on the device first, and
// so needs memory there. These do without, if the device is full.

/// Some bytes of a storage.
struct StorageSpan {
  size_t begin;  ///< A multiple of 16, so that elements of every dtype stay aligned.
  size_t end;
};
/// Returns the bytes from a tensor's first to its last element. Empty: both are 0.
StorageSpan span_of(const at::Tensor& tensor);
/// Returns these bytes of a tensor's storage as a tensor of kByte, which shares the memory.
at::Tensor bytes_of_span(const at::Tensor& tensor, StorageSpan span);
/// Returns a dense tensor with the elements of `like`, where `bytes` has a copy of this span of
/// its storage. Shares the memory of `bytes` if the tensor fills it.
at::Tensor from_span(const at::Tensor& bytes, StorageSpan span, const at::Tensor& like);

/// Returns whether a tensor begins with its storage and fills it without a gap.
bool fills_its_storage(const at::Tensor& tensor);
/// Returns a copy of the elements, dense, on the same device, without conj and neg bits.
at::Tensor dense_clone(const at::Tensor& tensor);

/// Returns a dense CPU copy of a tensor on a device, without conj and neg bits. Waits for it.
/// Throws Error(device).
at::Tensor copy_to_host(const at::Tensor& tensor);
/// Copies the elements of a CPU tensor into one on a device, of the same shape. Converts the dtype
/// on the host. Waits for it. Throws Error(device).
void copy_to_device(const at::Tensor& to, const at::Tensor& from);

}  // namespace checkpoint::format
