#include "format/torch/pth_writer.h"

#include "format/tree/dtype.h"
#include "format/tree/path.h"
#include "format/zip/zip_writer.h"

#include <string>
#include <utility>

namespace checkpoint::format {

namespace {

// The version of PyTorch's zip format.
constexpr char kFormatVersion[] = "3\n";

// For each record: where its bytes begin in the file, and their checksums.
struct Written {
  std::vector<uint64_t> offsets;
  std::vector<store::Sums> sums;
};

Written write_records(const Value& tree, const PthStorages& storages, RootDict root,
                      store::ByteSink& sink) {
  Written written;
  written.offsets.reserve(storages.storages().size());
  written.sums.resize(storages.storages().size());
  const store::DrainedAtEnd drained(sink);
  ZipWriter zip(sink, "archive");
  zip.add("data.pkl", write_pickle(tree, storages, root));
  zip.add("byteorder", "little");
  for (const PthStorages::StorageBytes& record : storages.storages()) {
    const size_t number = written.offsets.size();
    written.offsets.push_back(zip.add_lasting("data/" + std::to_string(number), record.data,
                                              record.bytes, &written.sums[number]));
  }
  zip.add("version", kFormatVersion);
  zip.finish();
  return written;
}

store::TensorEntry make_entry(const at::Tensor& tensor, size_t record, const PthStorages& storages,
                              const Written& written) {
  store::TensorEntry entry;
  entry.dtype = dtype_name(tensor.scalar_type());
  entry.shape.assign(tensor.sizes().begin(), tensor.sizes().end());
  entry.bytes = storages.storages()[record].bytes;
  entry.offset = entry.bytes > 0 ? written.offsets[record] : 0;
  entry.xxh3_128 = written.sums[record].xxh3_128;
  return entry;
}

}  // namespace

void write_pth(const Value& tree, store::ByteSink& sink, RootDict root) {
  const PthStorages storages(tree);
  write_records(tree, storages, root, sink);
}

std::vector<store::TensorEntry> write_pth_with_table(const Value& tree, store::ByteSink& sink) {
  const PthStorages storages(tree);
  const Written written = write_records(tree, storages, RootDict::kPlain, sink);
  std::vector<store::TensorEntry> entries;
  entries.reserve(storages.in_tree_order().size());
  for_each_tensor(tree, Path(), [&](const Value& entry, const Path& path) {
    const size_t index = storages.in_tree_order()[entries.size()];
    const size_t record = storages.placements()[index].record;
    entries.push_back(make_entry(entry.to_tensor(), record, storages, written));
    entries.back().key = path.text();
  });
  return entries;
}

}  // namespace checkpoint::format
