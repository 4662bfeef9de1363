#include "format/sharded/shard_assembly.h"

#include "format/tree/dense.h"

#include <checkpoint/error.h>

#include <ATen/EmptyTensor.h>

#include <memory>
#include <variant>

namespace checkpoint::format {
namespace {

[[noreturn]] void refuse_tree(const std::string& path) {
  throw Error(ErrorCode::kUnsupported,
              "this shard holds more than tensors by name, which a shard must not", path, 0,
              "Load the file by itself.");
}

}  // namespace

std::vector<std::pair<std::string, at::Tensor>> ShardAssembly::take(DecodedArchive shard,
                                                                    size_t file,
                                                                    const std::string& path) {
  if (!shard.tree_.is_dict()) refuse_tree(path);
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const auto& [key, value] : shard.tree_.dict()) {
    const auto* const name = std::get_if<std::string>(&key);
    if (name == nullptr || !value.is_tensor()) refuse_tree(path);
    // What the file's own metadata says of dropped names is for a file that is loaded by itself.
    if (shard.dropped_.count(*name) == 0) tensors.emplace_back(*name, value.to_tensor());
  }
  for (auto& row : shard.table_->rows) {
    row.second.stored.file = file;
    result_.table_->rows.emplace(row.first, std::move(row.second));
  }
  return tensors;
}

at::Tensor ShardAssembly::add_in_parts(const std::vector<int64_t>& shape,
                                       std::vector<StoredPart> parts, const std::string& name) {
  const c10::ScalarType dtype = parts.front().placeholder.scalar_type();
  at::Tensor whole = at::detail::empty_strided_meta(shape, dense_strides(shape, {}), dtype);
  StoredTensor stored{0, 0, 0, c10::Device(c10::kCPU), name};
  stored.parts = std::make_shared<const std::vector<StoredPart>>(std::move(parts));
  result_.table_->rows.emplace(whole.unsafeGetTensorImpl(),
                               DecodedArchive::Row{whole, std::move(stored)});
  return whole;
}

DecodedArchive ShardAssembly::finish(Value tree, std::map<std::string, std::string> dropped) {
  result_.tree_ = std::move(tree);
  result_.dropped_ = std::move(dropped);
  return std::move(result_);
}

}  // namespace checkpoint::format
