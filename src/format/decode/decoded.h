#pragma once

#include "format/zip/inflate.h"
#include "store/io/byte_source.h"

#include <checkpoint/value.h>

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

namespace checkpoint::format {

/// Where a placeholder's bytes lie.
struct StoredTensor {
  uint64_t record_offset;   ///< Of its storage's record in the file.
  uint64_t record_bytes;    ///< Size of that record.
  int64_t storage_offset;   ///< Of its first element in the record, in elements.
  c10::Device device;       ///< That it was saved from, as the file says.
  std::string record;       ///< The record's name without the root folder: "data/0".
  bool big_endian = false;  ///< Its elements' bytes stand in the other order than here.
  /// How the record is packed, where it is: its place is that of the packed bytes.
  std::optional<Deflated> deflated = {};
  /// The record, if it is not in the file but in the pickle. Its place is then only a
  /// name: beyond the file's end.
  std::shared_ptr<const std::string> own = {};
  size_t file = 0;  ///< Which of the files that hold the tree; one today.

  /// Whether the elements can be read, or mapped, from the file as they are.
  bool lies_as_it_is() const { return !big_endian && !deflated && own == nullptr; }
};

/// A file's tree; its tensors are placeholders on the meta device: dtype, sizes, strides and
/// requires_grad are those of the saved ones, and there are no elements. Tensors that were one
/// in the file are one placeholder; views of one storage are placeholders of one record.
/// Movable. Reading it is thread-safe.
class DecodedArchive {
 public:
  DecodedArchive(const DecodedArchive&) = delete;
  DecodedArchive& operator=(const DecodedArchive&) = delete;
  DecodedArchive(DecodedArchive&&) = default;
  DecodedArchive& operator=(DecodedArchive&&) = default;
  ~DecodedArchive() = default;

  const Value& tree() const { return tree_; }
  /// Where the bytes of a placeholder of this archive lie, known by its TensorImpl. Null for any
  /// other tensor. Lives as long as the archive.
  const StoredTensor* find(const at::Tensor& placeholder) const;
  /// How many placeholders there are.
  size_t size() const { return table_.size(); }

 private:
  friend class Placeholders;

  // Keeps the placeholder, so that no other tensor can come to stand at its address.
  struct Row {
    at::Tensor placeholder;
    StoredTensor stored;
  };

  DecodedArchive() = default;

  Value tree_;
  std::unordered_map<const c10::TensorImpl*, Row> table_;
};

/// Reads one placeholder into new CPU memory, with its dtype, sizes, strides and requires_grad.
/// Only the part of the record that it reaches is read; what was shared in the file is not shared
/// between the results of two calls. Thread-safe. Throws Error(invalid_argument) if `placeholder`
/// is not one of `archive`, and what `source` throws.
at::Tensor load_tensor(const store::ByteSource& source, const DecodedArchive& archive,
                       const at::Tensor& placeholder);

}  // namespace checkpoint::format
