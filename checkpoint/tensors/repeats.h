#pragma once

#include <checkpoint/value.h>

#include <ATen/core/Tensor.h>

#include <string>

namespace checkpoint::cli {

// A file of a kilobyte may hold a tensor of terabytes: one element, expanded.

/// A view without the repetitions of expanded dimensions: they are of size 1 in it.
at::Tensor without_repeats(const at::Tensor& tensor);

/// Throws Error(unsupported), naming the tensor, if one written out in full takes more than 1 GiB,
/// and far more than it has storage for.
void check_fits(const at::Tensor& tensor, const std::string& name, const std::string& path);
/// The same for all of a tree's tensors together.
void check_fits(const Value& tree, const std::string& path);

}  // namespace checkpoint::cli
