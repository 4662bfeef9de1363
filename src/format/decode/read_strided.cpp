// Reads a part of a larger tensor: a block of rows and columns, in any number of dimensions. Takes
// the dimensions from the outermost to the innermost. Where the elements of the dimensions from one
// on lie close together, they are read in one piece; otherwise each index of that dimension is read
// by itself.

#include "format/decode/read_strided.h"

#include <torch/torch.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace checkpoint::format {
namespace {

// A smaller gap costs less to read than a further call.
constexpr int64_t kSmallestGap = 4096;
// What is read with its gaps, at once.
constexpr int64_t kWindow = int64_t{256} << 10;

class StridedRead {
 public:
  StridedRead(at::IntArrayRef strides, int64_t item_bytes, const ReadBytes& read)
      : item_bytes_(item_bytes), strides_(strides.vec()), order_(strides.size()), read_(read) {
    std::iota(order_.begin(), order_.end(), size_t{0});
    std::stable_sort(order_.begin(), order_.end(),
                     [&](size_t left, size_t right) { return strides[left] > strides[right]; });
  }

  // Fills `to`, whose first element lies at `offset`. All dimensions before `order_[level]` have
  // one element.
  void fill(const at::Tensor& to, int64_t offset, size_t level) const {
    const int64_t reach = reach_of(to);
    const bool is_small = reach <= kWindow || reach == to.numel() * item_bytes_;
    if (level == order_.size() || (is_small && !has_large_gap(to, level))) {
      read_piece(to, offset, reach);
      return;
    }
    const auto dimension = static_cast<int64_t>(order_[level]);
    const int64_t stride = strides_[order_[level]] * item_bytes_;
    const int64_t step = has_gap(to, level) ? 1 : std::max<int64_t>(kWindow / stride, 1);
    for (int64_t at = 0; at < to.size(dimension); at += step) {
      const int64_t count = std::min(step, to.size(dimension) - at);
      fill(to.narrow(dimension, at, count), offset + at * stride, count == 1 ? level + 1 : level);
    }
  }

 private:
  int64_t reach_of(const at::Tensor& to) const {
    int64_t elements = 1;
    for (size_t i = 0; i < strides_.size(); ++i) {
      elements += (to.size(static_cast<int64_t>(i)) - 1) * strides_[i];
    }
    return elements * item_bytes_;
  }

  // Whether a large gap follows each index of the dimension order_[level].
  bool has_gap(const at::Tensor& to, size_t level) const {
    const auto dimension = static_cast<int64_t>(order_[level]);
    if (to.size(dimension) < 2) return false;
    const int64_t inner = reach_of(to.narrow(dimension, 0, 1));
    return strides_[order_[level]] * item_bytes_ - inner >= kSmallestGap;
  }

  bool has_large_gap(const at::Tensor& to, size_t level) const {
    for (; level < order_.size(); ++level) {
      if (has_gap(to, level)) return true;
    }
    return false;
  }

  void read_piece(const at::Tensor& to, int64_t offset, int64_t reach) const {
    const at::Tensor bytes = at::empty({reach}, at::TensorOptions().dtype(at::kByte));
    read_(static_cast<uint64_t>(offset), bytes.data_ptr(), static_cast<uint64_t>(reach));
    at::Tensor piece = at::empty({0}, at::TensorOptions().dtype(to.scalar_type()));
    piece.set_(bytes.storage(), 0, to.sizes(), strides_);
    at::Tensor(to).copy_(piece);
  }

  const int64_t item_bytes_;
  const std::vector<int64_t> strides_;
  std::vector<size_t> order_;  // The dimensions, outermost first.
  const ReadBytes& read_;
};

}  // namespace

void read_strided(const at::Tensor& to, at::IntArrayRef strides, const ReadBytes& read) {
  if (to.numel() == 0) return;
  const torch::NoGradGuard no_grad;
  StridedRead(strides, static_cast<int64_t>(to.element_size()), read).fill(to, 0, 0);
}

}  // namespace checkpoint::format
