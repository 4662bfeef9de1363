#include "format/torch/archive_tensors.h"

#include "base/in_quotes.h"
#include "format/tree/dense.h"
#include "format/tree/path.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <memory_resource>
#include <unordered_map>

namespace checkpoint::format {
namespace {

const c10::StorageImpl* storage_of(const at::Tensor& tensor) {
  return tensor.storage().unsafeGetStorageImpl();
}

}  // namespace

ArchiveTensors::ArchiveTensors(const Dict& tree) {
  std::pmr::monotonic_buffer_resource arena;  // Entries come one by one, and go together.
  std::pmr::unordered_map<const c10::StorageImpl*, size_t> known(&arena);
  for_each_tensor_of(tree, Path(), [&](const Value& entry, const Path& path) {
    const at::Tensor& tensor = entry.to_tensor();
    if (tensor.storage().nbytes() != bytes_of(tensor)) {
      throw Error(ErrorCode::kUnsupported,
                  "the tensor " + base::in_quotes(path.text()) + " is not all of its storage");
    }
    const auto [record, is_new] = known.emplace(storage_of(tensor), records_.size());
    if (is_new) records_.push_back(&tensor);
    record_of_.push_back(record->second);
  });
}

void ArchiveTensors::write(ZipWriter& zip, const std::atomic<bool>& stop) {
  written_.emplace(records_.size());
  for (size_t i = 0; i < records_.size() && !stop; ++i) {
    const at::Storage& storage = records_[i]->storage();
    written_->add(zip, storage.data(), storage.nbytes());
  }
}

bool ArchiveTensors::are_those_of(const std::vector<at::Tensor>& tensors) const {
  return std::equal(records_.begin(), records_.end(), tensors.begin(), tensors.end(),
                    [](const at::Tensor* record, const at::Tensor& tensor) {
                      return storage_of(*record) == storage_of(tensor);
                    });
}

void ArchiveTensors::place(std::vector<store::TensorEntry>& entries) const {
  for (size_t i = 0; i < entries.size(); ++i) {
    const size_t record = record_of_[i];
    written_->place(entries[i], record, records_[record]->storage().nbytes());
  }
}

}  // namespace checkpoint::format
