#include "format/listing.h"

#include "format/dcp/blob_check.h"
#include "format/dcp/directory.h"
#include "format/open_content.h"
#include "format/tree/dense.h"
#include "format/tree/dtype.h"
#include "format/tree/path.h"
#include "store/io/segments.h"

#include <string>

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

std::string last_part(const std::string& path) { return path.substr(path.rfind('/') + 1); }

bool is_zip(const store::ByteSource& source) {
  std::string begin(2, '\0');
  if (source.size() < begin.size()) return false;
  source.read_at(0, begin.data(), begin.size());
  return begin == "PK";
}

}  // namespace

Listing list_content(const std::string& path) {
  const OpenContent content(path, Verify::kNever);
  const DecodedArchive archive = content.decode();
  Listing listing;
  listing.format = content.is_distributed()       ? "distributed"
                   : content.sharded() != nullptr ? "sharded"
                   : content.is_single_file()     ? "file"
                                                  : "checkpoint";
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

uint64_t verify_content(const std::string& path) {
  const OpenContent content(path);
  if (content.is_distributed()) return dcp::Directory(store::posix_file_system(), path).verify();
  content.decode();
  uint64_t bytes = 0;
  for (const store::ContentFile& file : content.files()) {
    const uint64_t size = file.file->size();
    store::digest_of(*file.file, size);  // Reads all of it.
    if (is_zip(*file.file)) dcp::check_records(last_part(file.file->name()), *file.file);
    bytes += size;
  }
  return bytes;
}

}  // namespace checkpoint::format
