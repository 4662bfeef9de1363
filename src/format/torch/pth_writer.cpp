#include "format/torch/pth_writer.h"

#include "base/parallel.h"
#include "format/torch/describe_tensors.h"
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

void place(std::vector<store::TensorEntry>& entries, const PthStorages& storages,
           const Written& written) {
  for (size_t i = 0; i < entries.size(); ++i) {
    const size_t record = storages.placements()[storages.in_tree_order()[i]].record;
    entries[i].bytes = storages.storages()[record].bytes;
    if (entries[i].bytes > 0) entries[i].offset = written.offsets[record];
    entries[i].xxh3_128 = written.sums[record].xxh3_128;
  }
}

}  // namespace

void write_pth(const Value& tree, store::ByteSink& sink, RootDict root) {
  const PthStorages storages(tree);
  write_records(tree, storages, root, sink);
}

std::vector<store::TensorEntry> write_pth_with_table(const Value& tree, store::ByteSink& sink) {
  const PthStorages storages(tree);
  Written written;
  std::vector<store::TensorEntry> entries;
  entries.reserve(storages.in_tree_order().size());
  // With many small tensors both take long, so they run in parallel.
  base::side_by_side([&] { describe_tensors(tree, entries); },
                     [&] { written = write_records(tree, storages, RootDict::kPlain, sink); });
  place(entries, storages, written);
  return entries;
}

}  // namespace checkpoint::format
