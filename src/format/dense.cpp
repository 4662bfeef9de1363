#include "format/dense.h"

#include "format/pickle_globals.h"

#include <checkpoint/error.h>

#include <torch/torch.h>

#include <sstream>

namespace checkpoint::format {

namespace {

// Whether the reader knows the dtype.
bool may_be_read(c10::ScalarType dtype) {
  return pickle::find_global("torch", std::string(c10::toString(dtype)) + "Storage").has_value();
}

}  // namespace

void check_dense(const at::Tensor& live, const std::string& path) {
  const auto refuse = [&](const std::string& what, const char* hint = "") {
    throw Error(ErrorCode::kUnsupported, "the tensor '" + path + "' cannot be saved: it is " + what,
                "", 0, hint);
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
}

namespace {

bool keeps_grad(const at::Tensor& live) {
  return live.requires_grad() && (live.is_floating_point() || live.is_complex());
}

}  // namespace

Value Densifier::densify(const Value& value, const std::string& path) {
  switch (value.kind()) {
    case Value::Kind::kTensor:
      return densify_tensor(value.to_tensor(), path);
    case Value::Kind::kList:
      return Value(densify_all(value.list(), path));
    case Value::Kind::kTuple:
      return Tuple{densify_all(value.tuple(), path)};
    case Value::Kind::kDict: {
      Dict result;
      for (const auto& [key, entry] : value.dict()) {
        result.insert(key, densify(entry, dotted(path, to_string(key))));
      }
      return result;
    }
    default:
      return value;
  }
}

std::vector<Value> Densifier::densify_all(const std::vector<Value>& values,
                                          const std::string& path) {
  std::vector<Value> result;
  result.reserve(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    result.push_back(densify(values[i], dotted(path, std::to_string(i))));
  }
  return result;
}

// Only the tensor's own elements are written, not the whole storage behind a view; and LibTorch
// 1.13 writes wrong values where a conj or neg bit is pending.
at::Tensor Densifier::make_dense(const at::Tensor& live) const {
  const torch::NoGradGuard no_grad;
  const at::Tensor resolved = live.detach().resolve_conj().resolve_neg();
  const bool stays = on_cuda_ == OnCuda::kStay && resolved.is_cuda();
  const at::Tensor plain = stays ? resolved : resolved.cpu();
  const bool fills_its_storage =
      plain.storage_offset() == 0 && plain.is_non_overlapping_and_dense() &&
      plain.storage().nbytes() == static_cast<size_t>(plain.numel()) * plain.element_size();
  if (fills_its_storage) return plain;
  return plain.clone(plain.is_non_overlapping_and_dense() ? at::MemoryFormat::Preserve
                                                          : at::MemoryFormat::Contiguous);
}

at::Tensor Densifier::densify_tensor(const at::Tensor& live, const std::string& path) {
  check_dense(live, path);
  if (!live.device().is_cpu()) devices_.emplace(path, live.device().str());
  const Identity identity{live.data_ptr(), live.sizes().vec(), live.strides().vec(),
                          static_cast<int>(live.scalar_type()),
                          2 * static_cast<int>(live.is_conj()) + static_cast<int>(live.is_neg())};
  if (live.numel() > 0) {
    const auto known = known_.find(identity);
    if (known != known_.end()) return known->second;
  }
  const at::Tensor dense = own_storage(make_dense(live)).set_requires_grad(keeps_grad(live));
  if (dense.data_ptr() != live.data_ptr()) copies_.insert(dense.unsafeGetTensorImpl());
  ++tensor_count_;
  tensor_bytes_ += static_cast<uint64_t>(dense.numel()) * dense.element_size();
  if (live.numel() > 0) {
    known_.emplace(identity, dense);
    alive_.push_back(live);
  }
  return dense;
}

// One storage, one tensor: LibTorch would write a second view of another dtype or shape under the
// dtype of the first.
at::Tensor Densifier::own_storage(const at::Tensor& dense) {
  if (dense.numel() == 0) return dense;
  return storages_.insert(dense.data_ptr()).second ? dense : dense.clone();
}

}  // namespace checkpoint::format
