#include "state/plan/shards.h"

#include "base/shape_text.h"
#include "format/tree/dense.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <string>

namespace checkpoint::state {
namespace {

[[noreturn]] void refuse_shard(const std::string& why, const std::string& hint) {
  throw Error(ErrorCode::kInvalidArgument, "State::shard: " + why, "", 0, hint);
}

const void* address_of(const at::Tensor& tensor) {
  return format::missing_memory(tensor).empty() && tensor.has_storage() && tensor.numel() > 0
             ? tensor.data_ptr()
             : nullptr;
}

}  // namespace

void check_shard(const Shard& shard) {
  if (!shard.tensor.defined()) {
    refuse_shard("the tensor is undefined", "Create the tensor before you describe it.");
  }
  const at::IntArrayRef sizes = shard.tensor.sizes();
  const std::string place = "a part of the sizes " + base::shape_text(sizes) + " at " +
                            base::shape_text(shard.offsets) + " does not lie in a whole of " +
                            base::shape_text(shard.global_shape);
  const char* const hint = "Give the whole tensor's sizes, and an offset for each dimension.";
  if (sizes.empty()) refuse_shard("a tensor without dimensions cannot be divided", hint);
  if (shard.global_shape.size() != sizes.size() || shard.offsets.size() != sizes.size()) {
    refuse_shard(place, hint);
  }
  int64_t elements = 1;
  for (size_t i = 0; i < sizes.size(); ++i) {
    const int64_t whole = shard.global_shape[i];
    const int64_t at = shard.offsets[i];
    const bool fits = at >= 0 && whole >= 0 && at <= whole && sizes[i] <= whole - at &&
                      !__builtin_mul_overflow(elements, std::max<int64_t>(whole, 1), &elements);
    if (!fits) refuse_shard(place, hint);
  }
  if (shard.replica < 0) refuse_shard("the replica is negative", "Count the copies from 0.");
}

Shards::Shards(const std::vector<Shard>& shards) {
  for (const Shard& shard : shards) {
    by_tensor_.emplace(shard.tensor.unsafeGetTensorImpl(), &shard);
    if (const void* memory = address_of(shard.tensor)) by_memory_.emplace(memory, &shard);
  }
}

const Shard* Shards::find(const at::Tensor& live) const {
  if (empty() || !live.defined()) return nullptr;
  const auto known = by_tensor_.find(live.unsafeGetTensorImpl());
  if (known != by_tensor_.end()) return known->second;
  const void* const memory = address_of(live);
  if (memory == nullptr) return nullptr;
  const auto [begin, end] = by_memory_.equal_range(memory);
  const auto tied = std::find_if(
      begin, end, [&](const auto& entry) { return format::are_tied(entry.second->tensor, live); });
  return tied != end ? tied->second : nullptr;
}

void Shards::add(const at::Tensor& tensor, const Shard& like) {
  by_tensor_.emplace(tensor.unsafeGetTensorImpl(), &like);
}

}  // namespace checkpoint::state
