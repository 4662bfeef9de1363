#pragma once

#include <checkpoint/shard.h>

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <unordered_map>
#include <vector>

namespace checkpoint::state {

/// Throws Error(invalid_argument) if a shard contradicts itself: no tensor, or a part that does not
/// lie in the whole.
void check_shard(const Shard& shard);

/// What State::shard was given, found by a live tensor. What an optimizer keeps for a parameter is
/// divided as the parameter is. The shards must outlive it.
class Shards {
 public:
  explicit Shards(const std::vector<Shard>& shards);

  bool empty() const { return by_tensor_.empty(); }
  /// Returns the shard of a live tensor, or null. It is that tensor, the same elements of the same
  /// memory, or what was added for it.
  const Shard* find(const at::Tensor& live) const;
  /// Notes that a tensor, such as an optimizer's state, is divided as a shard is.
  void add(const at::Tensor& tensor, const Shard& like);

 private:
  std::unordered_map<const c10::TensorImpl*, const Shard*> by_tensor_;
  std::unordered_multimap<const void*, const Shard*> by_memory_;
};

}  // namespace checkpoint::state
