#include "difference.h"

#include "repeats.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace checkpoint::cli {
namespace {

constexpr int64_t kElementsAtOnce = int64_t{1} << 20;

at::Tensor as_reals(const at::Tensor& tensor) {
  const at::Tensor plain = tensor.detach().contiguous();
  return (plain.is_complex() ? at::view_as_real(plain) : plain).flatten();
}

bool have_same_bits(const at::Tensor& a, const at::Tensor& b) {
  return a.numel() == 0 || std::memcmp(a.data_ptr(), b.data_ptr(),
                                       static_cast<size_t>(a.numel()) * a.element_size()) == 0;
}

// Removes the dimensions along which both tensors are expanded. They change neither the largest nor
// the relative difference.
std::pair<at::Tensor, at::Tensor> without_common_repeats(at::Tensor a, at::Tensor b) {
  for (int64_t dim = 0; dim < a.dim(); ++dim) {
    if (a.size(dim) < 2 || a.stride(dim) != 0 || b.stride(dim) != 0) continue;
    a = a.narrow(dim, 0, 1);
    b = b.narrow(dim, 0, 1);
  }
  return {a, b};
}

at::Tensor apart_of(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.to(at::kDouble), y = b.to(at::kDouble);
  // Equal infinities count as equal, and so do two NaN.
  const at::Tensor alike = x.eq(y).logical_or(x.isnan().logical_and(y.isnan()));
  return (y - x).masked_fill(alike, 0);
}

// Subtracts the upper and lower 32 bits separately: above 2^53 a double cannot tell neighbouring
// integers apart, and an integer difference may overflow.
at::Tensor integers_apart(const at::Tensor& x, const at::Tensor& y) {
  constexpr int64_t kHalf = int64_t{1} << 32;
  const at::Tensor low_x = x.remainder(kHalf), low_y = y.remainder(kHalf);
  const at::Tensor high = y.sub(low_y).div(kHalf, "trunc") - x.sub(low_x).div(kHalf, "trunc");
  return high.to(at::kDouble) * static_cast<double>(kHalf) + (low_y - low_x).to(at::kDouble);
}

}  // namespace

Difference difference(const Side& a, const Side& b, const std::string& name) {
  const torch::NoGradGuard no_grad;
  const auto [short_a, short_b] = without_common_repeats(a.tensor, b.tensor);
  check_fits(short_a, name, a.path);
  check_fits(short_b, name, b.path);
  const at::Tensor left = as_reals(short_a), right = as_reals(short_b);
  Difference result;
  result.same_bits = have_same_bits(left, right);
  if (result.same_bits) return result;
  double squares = 0, base = 0;
  for (int64_t first = 0; first < left.numel(); first += kElementsAtOnce) {
    const int64_t count = std::min(kElementsAtOnce, left.numel() - first);
    const at::Tensor x = left.narrow(0, first, count);
    const at::Tensor y = right.narrow(0, first, count);
    const at::Tensor apart = x.scalar_type() == at::kLong ? integers_apart(x, y) : apart_of(x, y);
    const double largest = apart.abs().max().item<double>();
    result.largest = std::isnan(largest) ? largest : std::max(result.largest, largest);
    squares += apart.square().sum().item<double>();
    base += x.to(at::kDouble).square().sum().item<double>();
  }
  result.relative_l2 = base > 0      ? std::sqrt(squares / base)
                       : squares > 0 ? std::numeric_limits<double>::infinity()
                                     : squares;
  return result;
}

}  // namespace checkpoint::cli
