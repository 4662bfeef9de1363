#include "format/torch/describe_tensors.h"

#include "format/tree/dtype.h"
#include "format/tree/path.h"

namespace checkpoint::format {
namespace {

// Adds an entry for a tensor.
struct Describe {
  std::vector<store::TensorEntry>& entries;

  void operator()(const Value& value, const Path& path) const {
    const at::Tensor& tensor = value.to_tensor();
    store::TensorEntry& entry = entries.emplace_back();
    entry.key = path.text();
    entry.dtype = dtype_name(tensor.scalar_type());
    entry.shape.assign(tensor.sizes().begin(), tensor.sizes().end());
  }
};

}  // namespace

size_t count_tensors(const Dict& tree) {
  size_t count = 0;
  for_each_tensor_of(tree, Path(), [&](const Value&, const Path&) { ++count; });
  return count;
}

void describe_tensors(const Value& tree, std::vector<store::TensorEntry>& entries) {
  for_each_tensor(tree, Path(), Describe{entries});
}

void describe_tensors(const Dict& tree, std::vector<store::TensorEntry>& entries) {
  for_each_tensor_of(tree, Path(), Describe{entries});
}

}  // namespace checkpoint::format
