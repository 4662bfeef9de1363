#pragma once

#include "state/plan/item.h"

#include <ATen/core/Tensor.h>

namespace checkpoint::state {

/// LibTorch's default random generators: the CPU's, and that of each device in use. A device is
/// in use if this process has a context on it. This item never creates one.
class RngItem final : public Item {
 public:
  RngItem() : Item(kRngName) { make_per_rank(); }
  ItemEntry entry() const override;
  Value capture() const override;
  void plan(const SavedItem& saved, const ParameterNames& live_names, RestorePlan& plan) override;
};

}  // namespace checkpoint::state
