#pragma once

#include "format/zip/inflate.h"
#include "store/io/byte_source.h"

#include <checkpoint/value.h>

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <memory_resource>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace checkpoint::format {

/// A part of a tensor that lies in several parts.
struct StoredPart {
  std::vector<int64_t> at;  ///< Its first element in the whole tensor.
  at::Tensor placeholder;   ///< A placeholder of the same archive, with the part's sizes.
};

/// Where a placeholder's bytes are stored.
struct StoredTensor {
  uint64_t record_offset;   ///< Where its storage's record begins in the file.
  uint64_t record_bytes;    ///< The size of that record.
  int64_t storage_offset;   ///< Its first element in the record, in elements.
  c10::Device device;       ///< The device that it was saved from, as the file says.
  std::string record;       ///< The record's name without the root folder: "data/0".
  bool big_endian = false;  ///< Its bytes have the other order than this machine's.
  /// Set if the record is compressed: where the compressed bytes are.
  std::optional<Deflated> deflated = {};
  /// The record, if it is not in the file but in the pickle. Its place is then only a
  /// name: beyond the file's end.
  std::shared_ptr<const std::string> own = {};
  size_t file = 0;  ///< Index of the file that holds it.
  /// Whether it was made by DecodedArchive::part. Its strides do not matter then.
  bool is_piece = false;
  /// If not null, the tensor lies in these parts, which cover it. Of the rest, only `device`
  /// counts.
  std::shared_ptr<const std::vector<StoredPart>> parts = {};

  /// Whether the elements can be read, or mapped, from the file without a conversion.
  bool lies_as_it_is() const {
    return !big_endian && !deflated && own == nullptr && parts == nullptr;
  }
};

/// A file's tree. Its tensors are placeholders on the meta device, with the dtype, sizes, strides
/// and requires_grad of the saved tensors, but without elements. A tensor that the file shares is
/// one placeholder; views of one storage are placeholders of one record. Movable. Reading it is
/// thread-safe.
class DecodedArchive {
 public:
  DecodedArchive(const DecodedArchive&) = delete;
  DecodedArchive& operator=(const DecodedArchive&) = delete;
  DecodedArchive(DecodedArchive&&) = default;
  DecodedArchive& operator=(DecodedArchive&&) = default;
  ~DecodedArchive() = default;

  const Value& tree() const { return tree_; }
  /// Returns the names in the tree that the file does not hold: those of tied tensors that the
  /// writer dropped. Each is mapped to the name that it kept, whose placeholder it has. A reader
  /// may ignore them.
  const std::map<std::string, std::string>& dropped() const { return dropped_; }
  /// Returns where the bytes of a placeholder of this archive are stored, or null for any other
  /// tensor. Placeholders are recognised by their TensorImpl. The result lives as long as the
  /// archive.
  const StoredTensor* find(const at::Tensor& placeholder) const;
  /// Adds a placeholder for a part of another one: `sizes` elements from `at` on. Not thread-safe.
  at::Tensor part(const at::Tensor& placeholder, at::IntArrayRef at, at::IntArrayRef sizes);
  /// The number of placeholders.
  size_t size() const { return table_->rows.size(); }

 private:
  friend class Placeholders;
  friend class Assembly;
  friend class DcpAssembly;
  friend class ShardAssembly;

  // Keeps the placeholder, so that no other tensor can get its address.
  struct Row {
    at::Tensor placeholder;
    StoredTensor stored;
  };

  // On the heap, because an arena cannot be moved.
  struct Table {
    std::pmr::monotonic_buffer_resource arena;  // Rows come one by one, and go together.
    std::pmr::unordered_map<const c10::TensorImpl*, Row> rows{&arena};
  };

  DecodedArchive() = default;

  Value tree_;
  std::map<std::string, std::string> dropped_;
  std::unique_ptr<Table> table_ = std::make_unique<Table>();
};

/// The files of an archive, by StoredTensor::file.
using Sources = std::function<const store::ByteSource&(size_t file)>;

/// Reads one placeholder into new CPU memory, with its dtype, sizes, strides and requires_grad.
/// Reads only the part of the record that the tensor spans, and leaves out larger gaps. The results
/// of two calls never share memory. Thread-safe. Throws Error(invalid_argument) if `placeholder`
/// does not belong to `archive`, and what the files throw.
at::Tensor load_tensor(const Sources& sources, const DecodedArchive& archive,
                       const at::Tensor& placeholder);
/// The same for an archive of one file.
at::Tensor load_tensor(const store::ByteSource& source, const DecodedArchive& archive,
                       const at::Tensor& placeholder);

/// Returns a part of a whole tensor, as a view: `sizes` elements from `at` on.
at::Tensor view_of_part(const at::Tensor& whole, at::IntArrayRef at, at::IntArrayRef sizes);

}  // namespace checkpoint::format
