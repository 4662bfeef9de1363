#pragma once

#include "state/plan/item.h"

#include <ATen/core/Tensor.h>

namespace checkpoint::state {

/// LibTorch's default random generators: the CPU's, and that of each device in use. A device is
/// in use if this process has a context on it. This item never creates one.
class RngItem final : public Item {
 public:
  RngItem() : Item(kRngName) {}
  ItemEntry entry() const override;
  Value capture() const override;
  void plan(const SavedItem& saved, const ParameterNames& live_names, RestorePlan& plan) override;
};

/// Converts a CUDA generator's state that another version of LibTorch has saved. In all versions it
/// ends with the seed and the offset, 8 bytes each. 1.13 puts 800 bytes of an older generator
/// before them. `live` is a state of the running version. Throws Error(incompatible) if either is
/// too short.
at::Tensor convert_cuda_state(const at::Tensor& saved, const at::Tensor& live);

}  // namespace checkpoint::state
