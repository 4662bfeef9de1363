#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace checkpoint {

/// A tensor of which each rank holds a part: a layer in tensor-parallel training, or the part of an
/// optimizer's state that is a rank's own (ZeRO). Given to State::shard.
struct Shard {
  /// The sizes of the whole tensor. The same on all ranks.
  std::vector<int64_t> global_shape;
  /// Where the first element of this rank's part is in the whole tensor. As long as
  /// `global_shape`.
  std::vector<int64_t> offsets;
  /// This rank's part: a parameter or a buffer of a module, a tensor that was added as a value, or
  /// one in a `state_dict()`. May be empty. Shares ownership.
  at::Tensor tensor;
  /// If several ranks hold the same part: which of the copies this is. Only copy 0 is written.
  int64_t replica = 0;
};

}  // namespace checkpoint
