#include "format/torch/pth_writer.h"

#include "base/parallel.h"
#include "format/torch/describe_tensors.h"
#include "format/torch/tensor_records.h"
#include "format/zip/zip_writer.h"

namespace checkpoint::format {

namespace {

// The version of PyTorch's zip format.
constexpr char kFormatVersion[] = "3\n";

TensorRecords write_records(const Value& tree, const PthStorages& storages, RootDict root,
                            store::ByteSink& sink) {
  TensorRecords written(storages.storages().size());
  const store::DrainedAtEnd drained(sink);
  ZipWriter zip(sink, "archive");
  zip.add("data.pkl", write_pickle(tree, storages, root));
  zip.add("byteorder", "little");
  for (const PthStorages::StorageBytes& record : storages.storages()) {
    written.add(zip, record.data, record.bytes);
  }
  zip.add("version", kFormatVersion);
  zip.finish();
  return written;
}

void place(std::vector<store::TensorEntry>& entries, const PthStorages& storages,
           const TensorRecords& written) {
  for (size_t i = 0; i < entries.size(); ++i) {
    const size_t record = storages.placements()[storages.in_tree_order()[i]].record;
    written.place(entries[i], record, storages.storages()[record].bytes);
  }
}

}  // namespace

void write_pth(const Value& tree, store::ByteSink& sink, RootDict root) {
  const PthStorages storages(tree);
  write_records(tree, storages, root, sink);
}

std::vector<store::TensorEntry> write_pth_with_table(const Value& tree, store::ByteSink& sink) {
  const PthStorages storages(tree);
  TensorRecords written(0);
  std::vector<store::TensorEntry> entries;
  entries.reserve(storages.in_tree_order().size());
  // With many small tensors both take long, so they run in parallel.
  base::side_by_side([&] { describe_tensors(tree, entries); },
                     [&] { written = write_records(tree, storages, RootDict::kPlain, sink); });
  place(entries, storages, written);
  return entries;
}

}  // namespace checkpoint::format
