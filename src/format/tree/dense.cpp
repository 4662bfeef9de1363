// Gives tensors the form in which they can be written: dense, on the CPU, each with its own
// storage. A tensor that has this form already is used as it is, without a copy. Tied tensors stay
// tied.

#include "format/tree/dense.h"

#include "compat/accelerator.h"
#include "format/tree/device_copy.h"
#include "format/tree/dtype.h"

#include <checkpoint/error.h>

#include <torch/torch.h>

#include <algorithm>
#include <numeric>
#include <sstream>
#include <utility>

namespace checkpoint::format {

namespace {

// Whether the reader knows the dtype.
bool may_be_read(c10::ScalarType dtype) {
  const std::vector<c10::ScalarType>& known = plain_dtypes();
  return std::find(known.begin(), known.end(), dtype) != known.end();
}

}  // namespace

std::string missing_memory(const at::Tensor& tensor) {
  if (!tensor.defined() || tensor.layout() != c10::kStrided || tensor.is_meta()) return {};
  if (tensor._is_zerotensor()) return "a ZeroTensor, which has no memory";
  if (!tensor.has_storage()) {
    return compat::may_lack_storage(tensor.device()) ? ""
                                                     : "without memory: its storage was released";
  }
  if (tensor.numel() == 0) return {};
  const auto reach = static_cast<uint64_t>(tensor.storage_offset() + extent(tensor));
  const uint64_t needed = reach * tensor.element_size();
  const uint64_t there = tensor.storage().nbytes();
  if (there < needed) {
    return "larger than its memory: it needs " + std::to_string(needed) +
           " bytes, and its storage has " + std::to_string(there);
  }
  return tensor.storage().data() == nullptr ? "without memory: its storage begins at null" : "";
}

void check_dense(const at::Tensor& live, const Path& path) {
  const auto refuse = [&](const std::string& what, const char* hint = "") {
    throw Error(ErrorCode::kUnsupported,
                "the tensor '" + path.text() + "' cannot be saved: it is " + what, "", 0, hint);
  };
  if (!live.defined()) refuse("undefined");
  if (live.layout() != c10::kStrided) {
    std::ostringstream layout;
    layout << live.layout();
    refuse("of the layout " + layout.str(),
           "Save what it consists of (indices() and values(), in a checkpoint::Value) or "
           "to_dense().");
  }
  if (live.is_quantized()) {
    refuse("quantized",
           "Save int_repr(), with the scale and zero point in a checkpoint::Value, or "
           "dequantize().");
  }
  if (!may_be_read(live.scalar_type())) {
    refuse(std::string("of the dtype ") + c10::toString(live.scalar_type()),
           "Save a view of it as bytes: view(torch::kUInt8).");
  }
  if (live.is_meta()) refuse("on the meta device, and has no data");
  const std::string missing = missing_memory(live);
  if (!missing.empty()) {
    refuse(
        missing,
        "Give it memory first: clone() of a ZeroTensor has some; a storage that was freed has to "
        "be filled again.");
  }
}

bool are_tied(const at::Tensor& left, const at::Tensor& right) {
  return left.data_ptr() == right.data_ptr() && left.scalar_type() == right.scalar_type() &&
         left.sizes() == right.sizes() && left.strides() == right.strides() &&
         left.is_conj() == right.is_conj() && left.is_neg() == right.is_neg() && left.numel() > 0;
}

std::vector<int64_t> dense_strides(at::IntArrayRef shape, at::IntArrayRef like) {
  std::vector<size_t> order(shape.size());
  std::iota(order.begin(), order.end(), size_t{0});
  if (like.size() == shape.size()) {
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t left, size_t right) { return like[left] > like[right]; });
  }
  std::vector<int64_t> strides(shape.size());
  int64_t stride = 1;
  for (size_t i = order.size(); i-- > 0;) {
    strides[order[i]] = stride;
    stride *= std::max<int64_t>(shape[order[i]], 1);
  }
  return strides;
}

size_t bytes_of(const at::Tensor& tensor) {
  return static_cast<size_t>(tensor.numel()) * tensor.element_size();
}

int64_t extent(const at::Tensor& tensor) {
  if (tensor.numel() == 0) return 0;
  int64_t last = 0;
  for (int64_t i = 0; i < tensor.dim(); ++i) last += (tensor.size(i) - 1) * tensor.stride(i);
  return last + 1;
}

Extent extent_of(const at::Tensor& tensor, size_t index) {
  const char* const begin = static_cast<const char*>(tensor.data_ptr());
  return {begin, begin + static_cast<size_t>(extent(tensor)) * tensor.element_size(), index};
}

namespace {

bool keeps_grad(const at::Tensor& live) {
  return live.requires_grad() && (live.is_floating_point() || live.is_complex());
}

// True for most tensors; using them as they are costs nothing.
bool is_dense_already(const at::Tensor& live) {
  return live.device().is_cpu() && live.is_leaf() && !live.is_conj() && !live.is_neg() &&
         fills_its_storage(live);
}

}  // namespace

Value Densifier::densify(Value value, const std::string& path) {
  for_each_tensor(value, Path(path), [&](Value& entry, const Path& place) {
    entry = densify_tensor(entry.to_tensor(), place);
  });
  return value;
}

// Takes only the tensor's own elements, not the whole storage behind a view. Resolves conj and neg
// bits: LibTorch 1.13 writes wrong values while one is pending.
at::Tensor Densifier::make_dense(const at::Tensor& live) const {
  if (is_dense_already(live)) return live;
  const torch::NoGradGuard no_grad;
  if (live.device().is_cpu()) {
    const bool fills = !live.is_conj() && !live.is_neg() && fills_its_storage(live);
    return fills ? live.detach() : dense_clone(live);
  }
  if (stays(live)) return live.detach();
  return copy_to_host(live);
}

bool Densifier::stays(const at::Tensor& live) const {
  return on_device_ == OnDevice::kStay && live.numel() > 0 && compat::has_streams(live.device());
}

at::Tensor Densifier::densify_tensor(const at::Tensor& live, const Path& path) {
  check_dense(live, path);
  if (!live.device().is_cpu()) devices_.emplace(path.text(), live.device().str());
  if (live.numel() > 0) {
    auto [known, end] = known_.equal_range(live.data_ptr());
    at::Tensor twin;
    for (; known != end; ++known) {
      if (!are_tied(known->second.live, live)) continue;
      twin = known->second.dense;
      if (twin.requires_grad() == keeps_grad(live)) return twin;
    }
    if (twin.defined()) return add_twin(live, twin);
  }
  at::Tensor dense = own_storage(make_dense(live));
  if (dense.requires_grad() != keeps_grad(live)) dense.set_requires_grad(keeps_grad(live));
  if (dense.data_ptr() != live.data_ptr()) copies_.insert(dense.unsafeGetTensorImpl());
  ++tensor_count_;
  tensor_bytes_ += static_cast<uint64_t>(dense.numel()) * dense.element_size();
  if (live.numel() > 0) known_.emplace(live.data_ptr(), Known{live, dense});
  return dense;
}

// Makes the second of two tensors that share one memory: a parameter and its detached self.
at::Tensor Densifier::add_twin(const at::Tensor& live, const at::Tensor& dense) {
  at::Tensor twin = dense.detach();
  twin.set_requires_grad(keeps_grad(live));
  if (copies_.count(dense.unsafeGetTensorImpl()) != 0) copies_.insert(twin.unsafeGetTensorImpl());
  ++tensor_count_;
  known_.emplace(live.data_ptr(), Known{live, twin});
  return twin;
}

// Gives each tensor a storage of its own. In a shared storage, LibTorch would write a second view
// of another dtype or shape with the dtype of the first.
at::Tensor Densifier::own_storage(const at::Tensor& dense) const {
  if (dense.numel() == 0 || stays(dense)) return dense;
  const auto [first, last] = known_.equal_range(dense.data_ptr());
  const bool taken = std::any_of(first, last, [&](const auto& known) {
    return known.second.dense.data_ptr() == dense.data_ptr();
  });
  if (!taken) return dense;
  const torch::NoGradGuard no_grad;
  return dense.detach().clone();
}

}  // namespace checkpoint::format
