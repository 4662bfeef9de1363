#include "format/sharded/shard_plan.h"

#include "format/tree/dense.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <memory>
#include <unordered_map>

namespace checkpoint::format {
namespace {

// Returns the tensors without those names of tied ones that are dropped.
NamedTensors without_ties(const NamedTensors& tensors,
                          std::map<std::string, std::string>& dropped) {
  std::unordered_multimap<const void*, size_t> groups;  // Memory to position in `kept`.
  std::vector<std::pair<at::Tensor, std::vector<std::string>>> kept;
  for (const auto& [name, tensor] : tensors) {
    bool is_tied = false;
    auto [known, end] = groups.equal_range(tensor.data_ptr());
    for (; known != end && !is_tied; ++known) {
      is_tied = are_tied(kept[known->second].first, tensor);
      if (is_tied) kept[known->second].second.push_back(name);
    }
    if (is_tied) continue;
    groups.emplace(tensor.data_ptr(), kept.size());
    kept.push_back({tensor, {name}});
  }
  for (auto& [tensor, names] : kept) {
    const std::string first = *std::min_element(names.begin(), names.end());
    for (const std::string& name : names) {
      if (name != first) dropped.emplace(name, first);
    }
  }
  NamedTensors rest;
  for (const auto& named : tensors) {
    if (dropped.count(named.first) == 0) rest.push_back(named);
  }
  return rest;
}

// What tensors must have in common to go into the same shard. Null: nothing.
const void* storage_of(const at::Tensor& tensor, Ties ties) {
  return ties == Ties::kTogether && tensor.numel() > 0 && tensor.has_storage()
             ? tensor.storage().unsafeGetStorageImpl()
             : nullptr;
}

// Fills one shard after the other.
class Filling {
 public:
  Filling(uint64_t max_bytes, Ties ties) : max_bytes_(max_bytes), ties_(ties) {}

  void add(const std::string& name, const at::Tensor& tensor) {
    const void* const storage = storage_of(tensor, ties_);
    const uint64_t bytes = storage != nullptr ? tensor.storage().nbytes() : bytes_of(tensor);
    if (storage != nullptr) {
      const auto [known, is_first] = shard_of_.emplace(storage, nullptr);
      if (!is_first) {
        known->second->emplace_back(name, tensor);
        return;
      }
      known->second = place(bytes);
      known->second->emplace_back(name, tensor);
      return;
    }
    place(bytes)->emplace_back(name, tensor);
  }

  void finish(ShardPlan& plan) {
    close();
    for (const auto& shard : shards_) plan.shards.push_back(std::move(*shard));
    if (plan.shards.empty()) plan.shards.emplace_back();
    plan.total_bytes = total_;
  }

 private:
  using Shard = std::unique_ptr<NamedTensors>;

  // Returns the shard that the next tensor goes into.
  NamedTensors* place(uint64_t bytes) {
    total_ += bytes;
    if (bytes > max_bytes_) {  // Before the current one, which stays open.
      shards_.push_back(std::make_unique<NamedTensors>());
      return shards_.back().get();
    }
    if (current_ != nullptr && bytes > max_bytes_ - filled_) close();
    if (current_ == nullptr) current_ = std::make_unique<NamedTensors>();
    filled_ += bytes;
    return current_.get();
  }

  void close() {
    if (current_ != nullptr) shards_.push_back(std::move(current_));
    filled_ = 0;
  }

  const uint64_t max_bytes_;
  const Ties ties_;
  std::vector<Shard> shards_;
  Shard current_;
  uint64_t filled_ = 0;
  uint64_t total_ = 0;
  std::unordered_map<const void*, NamedTensors*> shard_of_;  // By storage.
};

}  // namespace

ShardPlan plan_shards(const NamedTensors& tensors, uint64_t max_bytes, Ties ties) {
  if (max_bytes == 0) {
    throw Error(ErrorCode::kInvalidArgument, "max_shard_size must be at least one byte");
  }
  ShardPlan plan;
  Filling filling(max_bytes, ties);
  const NamedTensors written =
      ties == Ties::kDropped ? without_ties(tensors, plan.dropped) : tensors;
  for (const auto& [name, tensor] : written) filling.add(name, tensor);
  filling.finish(plan);
  return plan;
}

}  // namespace checkpoint::format
