#pragma once

#include <checkpoint/value.h>

#include <ATen/core/Tensor.h>

#include <string>

namespace checkpoint::cli {

// Guards against expanded tensors: a file of a kilobyte may hold a tensor of terabytes, made from
// one element.

/// Returns a view in which expanded dimensions have size 1.
at::Tensor without_repeats(const at::Tensor& tensor);

/// Throws Error(unsupported), with the tensor's name, if the tensor in full takes more than 1 GiB
/// and more than 16 times its storage. `path` is the file, for the error text.
void check_fits(const at::Tensor& tensor, const std::string& name, const std::string& path);
/// The same for all tensors of a tree together.
void check_fits(const Value& tree, const std::string& path);

}  // namespace checkpoint::cli
