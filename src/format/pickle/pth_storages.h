#pragma once

#include "format/tree/dense.h"
#include "format/tree/path.h"

#include <checkpoint/value.h>

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <string>
#include <unordered_map>
#include <vector>

namespace checkpoint::format {

/// The bytes that a .pth file must hold for the tensors of a tree, and the record of each tensor.
/// Tensors that overlap in memory share a record, as they share a storage in Python. A tensor alone
/// gets a record with only its own elements, not the whole storage behind a view. CPU tensors are
/// written from their own memory, which must not change while this is used; others are copied, one
/// by one.
class PthStorages {
 public:
  struct StorageBytes {
    const void* data;
    size_t bytes;
    /// Whether tensors of several dtypes share it. Then it counts bytes, and each tensor has a
    /// dtype.
    bool mixed;
  };
  struct Placement {
    at::Tensor live;    ///< The tensor in the tree.
    at::Tensor tensor;  ///< On the CPU; gives the sizes, strides and dtype to write.
    size_t record;
    int64_t offset;  ///< Its first element in the record, in elements.
  };

  /// `tree` must outlive this. Throws Error(unsupported), naming the tensor, if it cannot be saved:
  /// if it is undefined, sparse, quantized, on the meta device or without memory.
  explicit PthStorages(const Value& tree);

  const std::vector<StorageBytes>& storages() const { return storages_; }
  const std::vector<Placement>& placements() const { return placements_; }
  /// For each tensor of the tree, in the tree's order: its index in placements(). Tensors that are
  /// the same elements of the same memory, and agree in requires_grad, have one index.
  const std::vector<size_t>& in_tree_order() const { return in_tree_order_; }

 private:
  size_t add(const at::Tensor& live);
  void make_storages();
  // `begin` and `end`: a range of tensors that overlap, with their indices in placements_.
  void make_storage(const Extent* begin, const Extent* end);
  std::string key_of(const Placement& placement) const;

  const Value& tree_;
  std::vector<Placement> placements_;
  std::vector<StorageBytes> storages_;
  std::vector<size_t> in_tree_order_;
  // The placements by the address of their memory; those of tensors without elements by the tensor.
  std::pmr::monotonic_buffer_resource arena_;  // Entries come one by one, and go together.
  std::pmr::unordered_multimap<const void*, size_t> known_{&arena_};
};

}  // namespace checkpoint::format
