#pragma once

#include <ATen/core/Tensor.h>

namespace checkpoint::cli {

/// How far two tensors of one shape and dtype are from each other.
struct Difference {
  bool same_bits = false;
  double largest = 0;      ///< max |a - b|; NaN where one is NaN and the other is not.
  double relative_l2 = 0;  ///< ||a - b|| / ||a||; infinite where a is zero and b is not.
};

/// In double precision, piece by piece: little memory whatever the tensors' size. Both are on the
/// CPU. Complex numbers are compared part by part.
Difference difference(const at::Tensor& a, const at::Tensor& b);

}  // namespace checkpoint::cli
