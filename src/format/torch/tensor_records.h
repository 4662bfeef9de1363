#pragma once

#include "format/zip/zip_writer.h"
#include "store/io/byte_sink.h"
#include "store/records/tensor_table.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace checkpoint::format {

/// The records `data/0`, `data/1`, … of an archive, which have the tensors' bytes: where each one
/// is in the file, and its checksums. Not thread-safe.
class TensorRecords {
 public:
  /// `count` is how many there will be.
  explicit TensorRecords(size_t count) : sums_(count) { begins_.reserve(count); }

  /// Adds the next one to the file. The bytes and this must stay where they are until the sink is
  /// drained.
  void add(ZipWriter& zip, const void* data, size_t bytes) {
    const size_t number = begins_.size();
    begins_.push_back(
        zip.add_lasting("data/" + std::to_string(number), data, bytes, &sums_[number]));
  }

  /// Fills in where a tensor has its bytes: all those of this record. Call it after the sink was
  /// drained.
  void place(store::TensorEntry& entry, size_t record, size_t bytes) const {
    entry.bytes = bytes;
    if (bytes > 0) entry.offset = begins_[record];
    entry.xxh3_128 = sums_[record].xxh3_128;
  }

 private:
  std::vector<uint64_t> begins_;
  std::vector<store::Sums> sums_;
};

}  // namespace checkpoint::format
