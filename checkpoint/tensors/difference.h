#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace checkpoint::cli {

/// How different two tensors of the same shape and dtype are.
struct Difference {
  bool same_bits = false;
  double largest = 0;      ///< max |a - b|. NaN if only one of two elements is NaN.
  double relative_l2 = 0;  ///< ||a - b|| / ||a||. Infinite if a is zero and b is not.
};

/// A tensor, and the path of its file.
struct Side {
  at::Tensor tensor;
  std::string path;
};

/// Compares two tensors of the same shape and dtype on the CPU. Computes in double precision and
/// piece by piece, so it needs little memory for tensors of any size. Complex numbers are compared
/// part by part. Dimensions along which both are expanded are compared once. Throws
/// Error(unsupported), with the tensor's name, if a tensor that is expanded otherwise would take
/// too much memory.
Difference difference(const Side& a, const Side& b, const std::string& name);

}  // namespace checkpoint::cli
