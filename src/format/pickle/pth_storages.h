#pragma once

#include "format/tree/path.h"

#include <checkpoint/value.h>

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace checkpoint::format {

/// Which bytes a .pth file has to hold for the tensors of a tree, and in which record each tensor
/// finds its own. Tensors that overlap in memory share a record, as they share a storage in Python;
/// a tensor alone gets one with its own elements, not the whole storage behind a view. CPU tensors
/// are taken from their own memory, which must not change while this is used; others are copied,
/// one by one.
class PthStorages {
 public:
  struct StorageBytes {
    const void* data;
    size_t bytes;
    /// Tensors of several dtypes lie in it: it is one of bytes, and each tensor says its dtype.
    bool mixed;
  };
  struct Placement {
    at::Tensor live;    ///< As it stands in the tree.
    at::Tensor tensor;  ///< On the CPU; what of it is written are its sizes, strides and dtype.
    size_t record;
    int64_t offset;  ///< Of its first element in the record, in elements.
  };

  /// `tree` must outlive this. Throws Error(unsupported) naming a tensor that cannot be saved:
  /// undefined, sparse, quantized, on the meta device, without memory.
  explicit PthStorages(const Value& tree);

  const std::vector<StorageBytes>& storages() const { return storages_; }
  const std::vector<Placement>& placements() const { return placements_; }
  /// The index of a tensor of the tree in placements(): one for all that are the same elements of
  /// the same memory.
  size_t find(const at::Tensor& live) const { return by_tensor_.at(live.unsafeGetTensorImpl()); }

 private:
  void add(const at::Tensor& live, const Path& path);
  size_t find_tied(const at::Tensor& live) const;
  void make_storages();
  // `begin` and `end`: places in placements_ of tensors that overlap.
  void make_storage(const size_t* begin, const size_t* end);
  std::string key_of(const Placement& placement) const;

  const Value& tree_;
  std::vector<Placement> placements_;
  std::vector<StorageBytes> storages_;
  std::unordered_multimap<const void*, size_t> by_memory_;
  std::unordered_map<const c10::TensorImpl*, size_t> by_tensor_;
};

}  // namespace checkpoint::format
