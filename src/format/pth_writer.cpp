#include "format/pth_writer.h"

#include "format/dense.h"
#include "format/dtype.h"
#include "format/zip_writer.h"
#include "store/digest.h"

#include <string>
#include <utility>

namespace checkpoint::format {

namespace {

// Which of PyTorch's zip formats it is.
constexpr char kFormatVersion[] = "3\n";

// Returns where in the file each record's bytes begin.
std::vector<uint64_t> write_records(const Value& tree, const PthStorages& storages, RootDict root,
                                    store::ByteSink& sink) {
  const std::string pickle = write_pickle(tree, storages, root);
  ZipWriter zip(sink, "archive");
  zip.add("data.pkl", pickle);
  zip.add("byteorder", "little");
  std::vector<uint64_t> offsets;
  offsets.reserve(storages.records().size());
  for (const PthStorages::Record& record : storages.records()) {
    offsets.push_back(zip.add("data/" + std::to_string(offsets.size()), record.data, record.bytes));
  }
  zip.add("version", kFormatVersion);
  zip.finish();
  return offsets;
}

class TableMaker {
 public:
  TableMaker(const PthStorages& storages, const std::vector<uint64_t>& offsets)
      : storages_(storages), offsets_(offsets), digests_(storages.records().size()) {}

  void collect(const Value& value, const std::string& path) {
    if (value.is_tensor()) {
      add(value.to_tensor(), path);
    } else if (value.is_dict()) {
      for (const auto& [key, entry] : value.dict()) collect(entry, dotted(path, to_string(key)));
    } else if (value.kind() == Value::Kind::kList) {
      collect_all(value.list(), path);
    } else if (value.kind() == Value::Kind::kTuple) {
      collect_all(value.tuple(), path);
    }
  }
  std::vector<store::TensorEntry> take() { return std::move(entries_); }

 private:
  void collect_all(const std::vector<Value>& values, const std::string& path) {
    for (size_t i = 0; i < values.size(); ++i) {
      collect(values[i], dotted(path, std::to_string(i)));
    }
  }

  void add(const at::Tensor& tensor, const std::string& path) {
    const size_t record = storages_.planned()[storages_.find(tensor)].record;
    const PthStorages::Record& bytes = storages_.records()[record];
    store::TensorEntry entry;
    entry.key = path;
    entry.dtype = dtype_name(tensor.scalar_type());
    entry.shape = tensor.sizes().vec();
    entry.bytes = bytes.bytes;
    entry.offset = entry.bytes > 0 ? offsets_[record] : 0;
    if (digests_[record].empty()) digests_[record] = store::xxh3_128(bytes.data, bytes.bytes);
    entry.xxh3_128 = digests_[record];
    entries_.push_back(std::move(entry));
  }

  const PthStorages& storages_;
  const std::vector<uint64_t>& offsets_;
  std::vector<std::string> digests_;
  std::vector<store::TensorEntry> entries_;
};

}  // namespace

void write_pth(const Value& tree, store::ByteSink& sink, RootDict root) {
  const PthStorages storages(tree);
  write_records(tree, storages, root, sink);
}

std::vector<store::TensorEntry> write_pth_with_table(const Dict& tree, store::ByteSink& sink) {
  const Value value(tree);
  const PthStorages storages(value);
  const std::vector<uint64_t> offsets = write_records(value, storages, RootDict::kPlain, sink);
  TableMaker table(storages, offsets);
  table.collect(value, "");
  return table.take();
}

}  // namespace checkpoint::format
