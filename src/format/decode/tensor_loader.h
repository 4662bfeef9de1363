#pragma once

#include "format/decode/decoded.h"
#include "store/io/byte_source.h"
#include "store/io/mapping.h"

#include <checkpoint/value.h>

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <unordered_map>

namespace checkpoint::format {

/// Makes a decoded file's tensors on the CPU. Tensors that share a record share their memory, as
/// they did when they were saved. Not thread-safe.
class TensorLoader {
 public:
  /// `mapping` is a mapping of the source's file; if it is null, the tensors get memory of their
  /// own. Both references must outlive this. The tensors keep the mapping alive.
  TensorLoader(const store::ByteSource& source, const DecodedArchive& archive,
               std::shared_ptr<store::Mapping> mapping);

  at::Tensor load(const at::Tensor& placeholder);

 private:
  bool can_map(const StoredTensor& stored, c10::ScalarType dtype) const;
  at::Tensor bytes_of_record(const StoredTensor& stored, c10::ScalarType dtype);

  const store::ByteSource& source_;
  const DecodedArchive& archive_;
  std::shared_ptr<store::Mapping> mapping_;
  // By the record's offset: how many tensors share it, and its bytes once they are loaded.
  std::unordered_map<uint64_t, size_t> uses_;
  struct Bytes {
    at::Tensor bytes;
    c10::ScalarType dtype;  // Of the first tensor that needed the record.
  };
  std::unordered_map<uint64_t, Bytes> records_;
};

}  // namespace checkpoint::format
