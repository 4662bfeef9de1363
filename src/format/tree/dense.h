#pragma once

#include "format/tree/path.h"

#include <checkpoint/value.h>

#include <cstdint>
#include <memory_resource>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace checkpoint::format {

/// What happens to tensors on a device that has streams (compat::has_streams).
enum class OnDevice {
  kCopyToHost,  ///< Copied at once, as from any other device.
  kStay,        ///< Left there as they are, not dense. The caller copies them later.
};

/// Returns what is wrong with a tensor whose elements have no memory: a ZeroTensor, or a tensor
/// whose storage was freed. Returns "" for all others. The text follows "it is". Reading or writing
/// such a tensor would end the process.
std::string missing_memory(const at::Tensor& tensor);

/// Throws Error(unsupported), naming the tensor, if it cannot be saved: if it is undefined, sparse,
/// quantized, on the meta device or without memory.
void check_dense(const at::Tensor& live, const Path& path);

/// Returns whether two tensors are tied: the same elements of the same memory, which is not empty.
bool are_tied(const at::Tensor& left, const at::Tensor& right);

/// Returns how many elements of its storage a tensor spans, from its first to its last.
int64_t extent(const at::Tensor& tensor);
/// A tensor's memory from its first to its last element.
struct Extent {
  const char* begin;
  const char* end;
  size_t index;  ///< The caller's number of the tensor.
};
/// Returns the extent of a CPU tensor.
Extent extent_of(const at::Tensor& tensor, size_t index);
/// Returns the size of all elements in bytes, without the gaps between them.
size_t bytes_of(const at::Tensor& tensor);

/// Returns strides without gaps for a shape, with the dimensions in the order of the strides
/// `like`.
std::vector<int64_t> dense_strides(at::IntArrayRef shape, at::IntArrayRef like);

/// Makes the tensors of trees writable: dense CPU tensors, each with a storage of its own that
/// begins with it. A tensor in this form is used as it is and shares the live memory; the rest are
/// copied. Tied tensors (the same elements of the same memory) stay one tensor, over all trees
/// given to one Densifier. If they differ in requires_grad, they share one storage. Not
/// thread-safe.
class Densifier {
 public:
  explicit Densifier(OnDevice on_device = OnDevice::kCopyToHost) : on_device_(on_device) {}

  /// Returns the tree with dense tensors. `path` is the tree's own place, for keys and errors.
  /// Throws Error: unsupported, naming the tensor, if it cannot be saved: if it is undefined,
  /// sparse, quantized, on the meta device or without memory; device.
  Value densify(Value value, const std::string& path);

  /// The devices of the tensors that were not on the CPU, by key.
  const std::unordered_map<std::string, std::string>& devices() const { return devices_; }
  /// The size of all tensors together in bytes; tied ones count once.
  uint64_t tensor_bytes() const { return tensor_bytes_; }
  uint64_t tensor_count() const { return tensor_count_; }
  /// The tensors that were copied: they share no memory with the live ones.
  const std::unordered_set<const c10::TensorImpl*>& copies() const { return copies_; }

 private:
  // Keeps the live tensor, so that its memory is not given to another one.
  struct Known {
    at::Tensor live;
    at::Tensor dense;
  };

  at::Tensor densify_tensor(const at::Tensor& live, const Path& path);
  bool stays(const at::Tensor& live) const;
  at::Tensor make_dense(const at::Tensor& live) const;
  at::Tensor own_storage(const at::Tensor& dense) const;
  at::Tensor add_twin(const at::Tensor& live, const at::Tensor& dense);

  const OnDevice on_device_;

  std::pmr::monotonic_buffer_resource arena_;  // Entries come one by one, and go together.
  std::pmr::unordered_multimap<const void*, Known> known_{&arena_};  // By their memory's address.
  std::unordered_map<std::string, std::string> devices_;
  std::unordered_set<const c10::TensorImpl*> copies_;
  uint64_t tensor_bytes_ = 0;
  uint64_t tensor_count_ = 0;
};

}  // namespace checkpoint::format
