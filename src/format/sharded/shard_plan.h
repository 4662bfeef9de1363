#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace checkpoint::format {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// What happens to tensors that share memory.
enum class Ties {
  kWritten,   ///< Each is written, as if it were alone.
  kDropped,   ///< Of tied tensors (are_tied), only the alphabetically first name is written.
  kTogether,  ///< Tensors of one storage go into the same shard, where they share it again.
};

/// Which tensors go into which shard.
struct ShardPlan {
  std::vector<NamedTensors> shards;  ///< At least one.
  uint64_t total_bytes = 0;          ///< Of all that is written; shared memory counts once.
  std::map<std::string, std::string> dropped;  ///< Each dropped name, with the one that is kept.
};

/// Divides tensors into shards as huggingface_hub does: in the given order, without packing. A
/// tensor larger than `max_bytes` gets a shard of its own at once. Throws Error(invalid_argument)
/// if `max_bytes` is 0.
ShardPlan plan_shards(const NamedTensors& tensors, uint64_t max_bytes, Ties ties);

}  // namespace checkpoint::format
