#pragma once

#include "format/tree/path.h"

#include <checkpoint/value.h>

#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace checkpoint::format {

/// What becomes of tensors that live on a CUDA device.
enum class OnDevice {
  kCopyToHost,  ///< Copied at once, as those of any other device.
  kStay,        ///< Left there, dense. The caller copies them later.
};

/// What is wrong with a tensor that has elements and no memory that holds them, as a ZeroTensor, or
/// one whose storage was freed; "" for all others. It follows "it is". To read such a tensor, or to
/// write into it, would end the process.
std::string missing_memory(const at::Tensor& tensor);

/// Throws Error(unsupported) naming a tensor that cannot be saved: undefined, sparse, quantized, on
/// the meta device, without memory.
void check_dense(const at::Tensor& live, const Path& path);

/// Whether two tensors are the same elements of the same memory, which is not empty: tied.
bool are_tied(const at::Tensor& left, const at::Tensor& right);

/// Over how many elements of its storage a tensor reaches, from its first one to its last.
int64_t extent(const at::Tensor& tensor);
/// Bytes of all elements, gaps between them not counted.
size_t bytes_of(const at::Tensor& tensor);

/// Gives the tensors of trees the form in which they can be written: dense CPU tensors, each with a
/// storage of its own that begins with it. Those that have it already are taken as they are and
/// share the live memory; the rest are copied. Tied tensors (the same elements of the same memory)
/// stay one tensor, over all trees given to one Densifier, or share one storage if they differ in
/// requires_grad. Not thread-safe.
class Densifier {
 public:
  explicit Densifier(OnDevice on_device = OnDevice::kCopyToHost) : on_device_(on_device) {}

  /// `path` is where the tree stands, for keys and error texts. Throws Error(unsupported) naming a
  /// tensor that cannot be saved: undefined, sparse, quantized, on the meta device, without memory.
  Value densify(Value value, const std::string& path);

  /// For the tensors that lived on another device than the CPU, by their keys: which.
  const std::unordered_map<std::string, std::string>& devices() const { return devices_; }
  /// The size of all tensors together, tied ones counted once.
  uint64_t tensor_bytes() const { return tensor_bytes_; }
  uint64_t tensor_count() const { return tensor_count_; }
  /// Those that share no memory with what they were made from.
  const std::unordered_set<const c10::TensorImpl*>& copies() const { return copies_; }

 private:
  // A live tensor, which is kept: its memory must not be given to another one.
  struct Known {
    at::Tensor live;
    at::Tensor dense;
  };

  at::Tensor densify_tensor(const at::Tensor& live, const Path& path);
  at::Tensor make_dense(const at::Tensor& live) const;
  at::Tensor own_storage(const at::Tensor& dense) const;
  at::Tensor add_twin(const at::Tensor& live, const at::Tensor& dense);

  const OnDevice on_device_;

  std::unordered_multimap<const void*, Known> known_;  // By where their memory begins.
  std::unordered_map<std::string, std::string> devices_;
  std::unordered_set<const c10::TensorImpl*> copies_;
  uint64_t tensor_bytes_ = 0;
  uint64_t tensor_count_ = 0;
};

}  // namespace checkpoint::format
