#pragma once

#include "format/torch/tensor_records.h"
#include "format/zip/zip_writer.h"
#include "store/records/tensor_table.h"

#include <checkpoint/value.h>

#include <ATen/core/Tensor.h>

#include <atomic>
#include <cstddef>
#include <optional>
#include <vector>

namespace checkpoint::format {

/// The records of an archive's tensors, `data/0`, `data/1`, …, in the order in which LibTorch's
/// pickler meets their storages. Tensors with one storage share a record.
class ArchiveTensors {
 public:
  /// `tree` must outlive this. Throws Error(unsupported) if a tensor is not all of its storage.
  explicit ArchiveTensors(const Dict& tree);

  /// Adds the records to an archive, from the tensors' own memory. They and this must not change
  /// until the sink is drained. `stop` may end it early, from another thread.
  void write(ZipWriter& zip, const std::atomic<bool>& stop);

  /// Returns whether these tensors, one by one, have the storages of the records.
  bool are_those_of(const std::vector<at::Tensor>& tensors) const;

  /// Fills in where each tensor of the tree has its bytes, after the sink was drained. `entries`
  /// has one for each, in order.
  void place(std::vector<store::TensorEntry>& entries) const;

 private:
  std::vector<const at::Tensor*> records_;  // Those in the tree, one for each record.
  std::vector<size_t> record_of_;           // For each tensor of the tree, in order.
  std::optional<TensorRecords> written_;
};

}  // namespace checkpoint::format
