#pragma once

#include <torch/types.h>

#include <string>

namespace digits {

/// Images as float N x 1 x 8 x 8, from 0 to 1, and labels as int64 N, row by row the same digits.
struct Dataset {
  torch::Tensor images;
  torch::Tensor labels;

  int64_t size() const { return labels.size(0); }
  Dataset to(torch::Device device) const { return {images.to(device), labels.to(device)}; }
  /// The digits at `indices` (int64, any device), in that order; copies.
  Dataset select(const torch::Tensor& indices) const;
};

struct Split {
  Dataset train;
  Dataset validation;
};

/// Reads a file of 64 pixels (0 to 16) and a label a line. Throws std::runtime_error with the
/// line's number if it is anything else.
Dataset load(const std::string& path);

/// Every fifth digit is for validation. The split depends on the file alone, not on the seed: a
/// resumed run must not see in training what it is validated with.
Split split(const Dataset& all);

}  // namespace digits
