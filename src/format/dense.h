#pragma once

#include <checkpoint/value.h>

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace checkpoint::format {

/// What becomes of tensors that live on a CUDA device.
enum class OnCuda {
  kCopyToHost,  ///< Copied at once, as those of any other device.
  kStay,        ///< Left there, dense, for whoever copies them later.
};

/// Throws Error(unsupported) naming a tensor that cannot be saved: undefined, sparse, quantized, on
/// the meta device.
void check_dense(const at::Tensor& live, const std::string& path);

/// Gives the tensors of trees the form in which they can be written: dense CPU tensors, each with a
/// storage of its own that begins with it. Those that have it already are taken as they are and
/// share the live memory; the rest are copied. Tied tensors (the same elements of the same memory)
/// stay one tensor, over all trees given to one Densifier. Not thread-safe.
class Densifier {
 public:
  explicit Densifier(OnCuda on_cuda = OnCuda::kCopyToHost) : on_cuda_(on_cuda) {}

  /// `path` is where the tree stands, for keys and error texts. Throws Error(unsupported) naming a
  /// tensor that cannot be saved: undefined, sparse, quantized, on the meta device.
  Value densify(const Value& value, const std::string& path);

  /// For the tensors that lived on another device than the CPU, by their keys: which.
  const std::unordered_map<std::string, std::string>& devices() const { return devices_; }
  /// The size of all tensors together, tied ones counted once.
  uint64_t tensor_bytes() const { return tensor_bytes_; }
  uint64_t tensor_count() const { return tensor_count_; }
  /// Those that share no memory with what they were made from.
  const std::unordered_set<const c10::TensorImpl*>& copies() const { return copies_; }

 private:
  // What makes two tensors tied.
  using Identity = std::tuple<const void*, std::vector<int64_t>, std::vector<int64_t>, int, int>;

  std::vector<Value> densify_all(const std::vector<Value>& values, const std::string& path);
  at::Tensor densify_tensor(const at::Tensor& live, const std::string& path);
  at::Tensor make_dense(const at::Tensor& live) const;
  at::Tensor own_storage(const at::Tensor& dense);

  const OnCuda on_cuda_;

  std::map<Identity, at::Tensor> known_;
  std::unordered_set<const void*> storages_;
  // An identity holds as long as its memory is not given to another tensor.
  std::vector<at::Tensor> alive_;
  std::unordered_map<std::string, std::string> devices_;
  std::unordered_set<const c10::TensorImpl*> copies_;
  uint64_t tensor_bytes_ = 0;
  uint64_t tensor_count_ = 0;
};

/// `path.name`, as keys are shown.
inline std::string dotted(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + '.' + name;
}

}  // namespace checkpoint::format
