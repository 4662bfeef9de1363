#include "format/torch/describe_tensors.h"

#include "format/tree/dtype.h"
#include "format/tree/path.h"

namespace checkpoint::format {
namespace {

void describe(const Value& tree, const Path& place, std::vector<store::TensorEntry>& entries) {
  for_each_tensor(tree, place, [&](const Value& value, const Path& path) {
    const at::Tensor& tensor = value.to_tensor();
    store::TensorEntry& entry = entries.emplace_back();
    entry.key = path.text();
    entry.dtype = dtype_name(tensor.scalar_type());
    entry.shape.assign(tensor.sizes().begin(), tensor.sizes().end());
  });
}

}  // namespace

std::vector<store::TensorEntry> describe_tensors(const Value& tree) {
  std::vector<store::TensorEntry> entries;
  describe(tree, Path(), entries);
  return entries;
}

std::vector<store::TensorEntry> describe_tensors(const Dict& tree) {
  std::vector<store::TensorEntry> entries;
  const Path root;
  for (const auto& [key, value] : tree) describe(value, Path(root, key), entries);
  return entries;
}

}  // namespace checkpoint::format
