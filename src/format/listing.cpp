#include "format/listing.h"

#include "format/dcp/directory.h"
#include "format/open_content.h"
#include "format/tree/dense.h"
#include "format/tree/dtype.h"
#include "format/tree/path.h"

namespace checkpoint::format {
namespace {

// Counts the values of a tree that are neither tensors nor containers.
size_t count_values(const Value& tree) {
  size_t count = 0;
  const auto count_all = [&](const std::vector<Value>& values) {
    for (const Value& value : values) count += count_values(value);
  };
  switch (tree.kind()) {
    case Value::Kind::kTensor:
      return 0;
    case Value::Kind::kList:
      count_all(tree.list());
      return count;
    case Value::Kind::kTuple:
      count_all(tree.tuple());
      return count;
    case Value::Kind::kDict:
      for (const auto& entry : tree.dict()) count += count_values(entry.second);
      return count;
    default:
      return 1;
  }
}

}  // namespace

Listing list_content(const std::string& path) {
  const OpenContent content(path, Verify::kNever);
  const DecodedArchive archive = content.decode();
  Listing listing;
  for_each_tensor(archive.tree(), Path(), [&](const Value& value, const Path& place) {
    const at::Tensor& tensor = value.to_tensor();
    const StoredTensor& stored = *archive.find(tensor);
    listing.tensors.push_back({place.text(), dtype_name(tensor.scalar_type()), tensor.sizes().vec(),
                               stored.device.str(), bytes_of(tensor),
                               stored.parts != nullptr ? stored.parts->size() : 1});
  });
  listing.values = count_values(archive.tree());
  return listing;
}

uint64_t verify_distributed(const std::string& path) {
  return dcp::Directory(store::posix_file_system(), path).verify();
}

}  // namespace checkpoint::format
