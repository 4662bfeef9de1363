#pragma once

#include <checkpoint/value.h>

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

namespace checkpoint::format {

/// Which bytes a .pth file has to hold for the tensors of a tree, and in which record each tensor
/// finds its own. Tensors that overlap in memory share a record, as they share a storage in Python;
/// a tensor alone gets one with its own elements, not the whole storage behind a view. CPU tensors
/// are taken from their own memory, which must not change meanwhile; others are copied, one by one.
class PthStorages {
 public:
  struct Record {
    const void* data;
    size_t bytes;
    /// Tensors of several dtypes lie in it: it is one of bytes, and each tensor says its dtype.
    bool mixed;
  };
  struct Planned {
    std::string key;    ///< Where in the tree it stands first: "model.0.weight".
    at::Tensor tensor;  ///< On the CPU; what of it is written are its sizes, strides and dtype.
    size_t record;
    int64_t offset;  ///< Of its first element in the record, in elements.
  };

  /// `tree` must outlive this. Throws Error(unsupported) naming a tensor that cannot be saved:
  /// undefined, sparse, quantized, on the meta device.
  explicit PthStorages(const Value& tree);

  const std::vector<Record>& records() const { return records_; }
  const std::vector<Planned>& planned() const { return planned_; }
  /// The index of a tensor of the tree in planned(): one for all that are the same elements of the
  /// same memory.
  size_t find(const at::Tensor& live) const { return by_tensor_.at(live.unsafeGetTensorImpl()); }

 private:
  using Identity =
      std::tuple<const void*, std::vector<int64_t>, std::vector<int64_t>, int, int, bool>;

  void collect(const Value& value, const std::string& path);
  void add(const at::Tensor& live, const std::string& path);
  void make_records();

  std::vector<Planned> planned_;
  std::vector<Record> records_;
  std::map<Identity, size_t> by_identity_;
  std::unordered_map<const c10::TensorImpl*, size_t> by_tensor_;
};

}  // namespace checkpoint::format
