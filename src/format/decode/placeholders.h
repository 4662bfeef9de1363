#pragma once

#include "format/decode/decoded.h"
#include "format/decode/tensor_layout.h"

#include <c10/core/Device.h>

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

namespace checkpoint::format {

/// Where a storage's bytes lie in the file.
struct ByteRange {
  std::string name;  ///< For errors: "data/0".
  uint64_t offset;
  uint64_t bytes;
  std::optional<Deflated> deflated = {};  ///< Where it is packed.
  size_t file = 0;                        ///< Which of the files that hold the tree.
};

/// Makes the placeholders of one file, and the table of where their bytes lie. Used once.
class Placeholders {
 public:
  /// `source` must outlive this. `big_endian`: the file's numbers have the other byte order.
  /// `expected`: how many there will be, about.
  explicit Placeholders(const store::ByteSource& source, bool big_endian = false,
                        size_t expected = 0);

  /// Throws Error(corrupt) if the record is not as large as the tensor's storage should be, or does
  /// not hold the whole tensor; Error(unsupported) for a device that this LibTorch does not know.
  at::Tensor make(const TensorLayout& tensor, const ByteRange& record);
  /// The same for a tensor that the pickle itself holds.
  at::Tensor make_own(const TensorLayout& tensor);
  /// All of them, in their tree.
  DecodedArchive finish(Value tree);

 private:
  at::Tensor add(const TensorLayout& tensor, StoredTensor stored);
  void check(const TensorLayout& tensor, const ByteRange& record) const;
  c10::Device device(const std::string& name);

  const store::ByteSource& source_;
  bool big_endian_;
  uint64_t own_count_ = 0;
  DecodedArchive archive_;
  std::unordered_map<std::string, c10::Device> devices_;
};

/// Reads a part of a record. Of a packed one all is unpacked, whatever the part.
void read_record(const store::ByteSource& source, const StoredTensor& stored, uint64_t offset,
                 void* to, uint64_t count);

/// Puts numbers that stand in the other byte order than this machine's into this one's.
void swap_bytes(void* data, size_t count, c10::ScalarType dtype);

}  // namespace checkpoint::format
