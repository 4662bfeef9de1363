#include "format/map_tensors.h"

#include "format/dense.h"

#include <unordered_map>
#include <utility>
#include <vector>

namespace checkpoint::format {
namespace {

class Mapper {
 public:
  explicit Mapper(const ReplaceTensor& replace) : replace_(replace) {}

  Value map(const Value& value, const std::string& path, const Value* other) {
    if (other != nullptr && other->kind() != value.kind()) other = nullptr;
    switch (value.kind()) {
      case Value::Kind::kTensor:
        return replaced(value.to_tensor(), {path, other ? &other->to_tensor() : nullptr});
      case Value::Kind::kList:
        return Value(map_all(value.list(), path, other ? &other->list() : nullptr));
      case Value::Kind::kTuple:
        return Tuple{map_all(value.tuple(), path, other ? &other->tuple() : nullptr)};
      case Value::Kind::kDict: {
        Dict result;
        for (const auto& [key, entry] : value.dict()) {
          result.insert(key, map(entry, dotted(path, to_string(key)),
                                 other ? other->dict().find(key) : nullptr));
        }
        return result;
      }
      default:
        return value;
    }
  }

 private:
  std::vector<Value> map_all(const std::vector<Value>& values, const std::string& path,
                             const std::vector<Value>* others) {
    std::vector<Value> result;
    result.reserve(values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      const bool has_other = others != nullptr && i < others->size();
      result.push_back(
          map(values[i], dotted(path, std::to_string(i)), has_other ? &(*others)[i] : nullptr));
    }
    return result;
  }

  at::Tensor replaced(const at::Tensor& tensor, const TensorPlace& place) {
    if (!tensor.defined()) return replace_(tensor, place);
    const auto known = known_.find(tensor.unsafeGetTensorImpl());
    if (known != known_.end()) return known->second;
    return known_.emplace(tensor.unsafeGetTensorImpl(), replace_(tensor, place)).first->second;
  }

  const ReplaceTensor& replace_;
  std::unordered_map<const c10::TensorImpl*, at::Tensor> known_;
};

}  // namespace

Value map_tensors(const Value& tree, const std::string& path, const Value* other,
                  const ReplaceTensor& replace) {
  return Mapper(replace).map(tree, path, other);
}

Value map_tensors(const Value& tree, const std::function<at::Tensor(const at::Tensor&)>& replace) {
  return map_tensors(tree, "", nullptr,
                     [&](const at::Tensor& tensor, const TensorPlace&) { return replace(tensor); });
}

}  // namespace checkpoint::format
