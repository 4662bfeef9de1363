#include "format/tree/map_tensors.h"

#include <unordered_map>
#include <utility>

namespace checkpoint::format {
namespace {

const at::Tensor* tensor_at(const Path& path, const Value* tree) {
  const Value* const value = tree != nullptr ? path.find_in(*tree) : nullptr;
  return value != nullptr && value->is_tensor() ? &value->to_tensor() : nullptr;
}

}  // namespace

Value map_tensors(Value tree, const std::string& path, const Value* other,
                  const ReplaceTensor& replace) {
  struct Replaced {
    at::Tensor old;  // Kept, so that no other tensor can get its address.
    at::Tensor fresh;
  };
  std::unordered_map<const c10::TensorImpl*, Replaced> known;
  for_each_tensor(tree, Path(path), [&](Value& entry, const Path& at) {
    const at::Tensor tensor = entry.to_tensor();
    if (!tensor.defined()) {
      entry = replace(tensor, {at, tensor_at(at, other)});
      return;
    }
    auto [place, is_new] = known.emplace(tensor.unsafeGetTensorImpl(), Replaced{tensor, {}});
    if (is_new) place->second.fresh = replace(tensor, {at, tensor_at(at, other)});
    entry = place->second.fresh;
  });
  return tree;
}

Value map_tensors(Value tree, const std::function<at::Tensor(const at::Tensor&)>& replace) {
  return map_tensors(std::move(tree), "", nullptr,
                     [&](const at::Tensor& tensor, const TensorPlace&) { return replace(tensor); });
}

}  // namespace checkpoint::format
