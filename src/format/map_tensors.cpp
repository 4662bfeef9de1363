#include "format/map_tensors.h"

#include <unordered_map>
#include <utility>
#include <vector>

namespace checkpoint::format {
namespace {

using Replace = std::function<at::Tensor(const at::Tensor&)>;

class Mapper {
 public:
  explicit Mapper(const Replace& replace) : replace_(replace) {}

  Value map(const Value& value) {
    switch (value.kind()) {
      case Value::Kind::kTensor:
        return replaced(value.to_tensor());
      case Value::Kind::kList:
        return Value(map_all(value.list()));
      case Value::Kind::kTuple:
        return Tuple{map_all(value.tuple())};
      case Value::Kind::kDict: {
        Dict result;
        for (const auto& [key, entry] : value.dict()) result.insert(key, map(entry));
        return result;
      }
      default:
        return value;
    }
  }

 private:
  std::vector<Value> map_all(const std::vector<Value>& values) {
    std::vector<Value> result;
    result.reserve(values.size());
    for (const Value& value : values) result.push_back(map(value));
    return result;
  }

  at::Tensor replaced(const at::Tensor& tensor) {
    const auto known = known_.find(tensor.unsafeGetTensorImpl());
    if (known != known_.end()) return known->second;
    return known_.emplace(tensor.unsafeGetTensorImpl(), replace_(tensor)).first->second;
  }

  const Replace& replace_;
  std::unordered_map<const c10::TensorImpl*, at::Tensor> known_;
};

}  // namespace

Value map_tensors(const Value& tree, const Replace& replace) { return Mapper(replace).map(tree); }

}  // namespace checkpoint::format
