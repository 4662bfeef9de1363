#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace checkpoint::cli {

/// How far two tensors of one shape and dtype are from each other.
struct Difference {
  bool same_bits = false;
  double largest = 0;      ///< max |a - b|; NaN where one is NaN and the other is not.
  double relative_l2 = 0;  ///< ||a - b|| / ||a||; infinite where a is zero and b is not.
};

/// A tensor, and the file that it came from.
struct Side {
  at::Tensor tensor;
  std::string path;
};

/// In double precision, piece by piece: little memory whatever the tensors' size. Both are on the
/// CPU. Complex numbers are compared part by part. Dimensions along which both
/// are expanded are looked at once; throws Error(unsupported), with the tensor's name, where one
/// that is expanded in another way would take too much memory.
Difference difference(const Side& a, const Side& b, const std::string& name);

}  // namespace checkpoint::cli
