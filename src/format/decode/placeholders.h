#pragma once

#include "format/decode/decoded.h"
#include "format/decode/tensor_layout.h"

#include <c10/core/Device.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>

namespace checkpoint::format {

/// Where a storage's bytes are stored in the file.
struct ByteRange {
  std::string name;  ///< For errors: "data/0".
  uint64_t offset;
  uint64_t bytes;
  std::optional<Deflated> deflated = {};  ///< Set if it is compressed.
  size_t file = 0;                        ///< Index of the file that holds it.
};

/// Makes the placeholders of one file, and the table of where their bytes are stored. Used once.
class Placeholders {
 public:
  /// `source` must outlive this. `big_endian`: the file's numbers have the other byte order.
  /// `expected`: about how many placeholders there will be.
  explicit Placeholders(const store::ByteSource& source, bool big_endian = false,
                        size_t expected = 0);

  /// Makes one placeholder. Throws Error(corrupt) if the size of the record does not match the
  /// tensor's storage, or if the tensor reaches beyond the record. Throws Error(unsupported) for a
  /// device that this LibTorch does not know.
  at::Tensor make(const TensorLayout& tensor, const ByteRange& record);
  /// The same, for a tensor whose bytes are inside the pickle.
  at::Tensor make_own(const TensorLayout& tensor);
  /// Returns the archive: `tree` and the table of all placeholders in it. `dropped`: see
  /// DecodedArchive::dropped.
  DecodedArchive finish(Value tree, std::map<std::string, std::string> dropped = {});

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

/// Reads a part of a record. A compressed record is always decompressed whole.
void read_record(const store::ByteSource& source, const StoredTensor& stored, uint64_t offset,
                 void* to, uint64_t count);

/// Converts numbers of the other byte order to this machine's, in place. Each half of a complex
/// number is one number.
void swap_bytes(void* data, size_t count, c10::ScalarType dtype);

}  // namespace checkpoint::format
