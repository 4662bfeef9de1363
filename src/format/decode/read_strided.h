#pragma once

#include "format/decode/decoded.h"

#include <ATen/core/Tensor.h>

#include <functional>

namespace checkpoint::format {

/// Reads `bytes` bytes, `offset` bytes behind a tensor's first one.
using ReadBytes = std::function<void(uint64_t offset, void* to, uint64_t bytes)>;

/// Fills a tensor without gaps with elements that lie in a record with `strides`, which have gaps.
/// Leaves out gaps of a page or more, and reads over smaller ones.
void read_strided(const at::Tensor& to, at::IntArrayRef strides, const ReadBytes& read);

}  // namespace checkpoint::format
