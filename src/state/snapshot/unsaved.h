#pragma once

#include "state/plan/item.h"

#include <ATen/core/Tensor.h>

#include <string>
#include <unordered_set>
#include <vector>

namespace checkpoint::state {

/// Finds what is trained and would not come back from a checkpoint: tensors that an optimizer knows
/// and no item holds, and what the items themselves say (Item::unsaved).
class Unsaved {
 public:
  /// `live` is what the item captured: its tensors are still the live ones.
  void look_at(const Item& item, const Value& live);
  /// A line for each, when all items were looked at; none if all comes back.
  std::vector<std::string> lines() const;

 private:
  struct Trained {
    std::string optimizer;
    std::vector<at::Tensor> tensors;
  };

  void hold(const at::Tensor& tensor);
  bool is_held(const at::Tensor& tensor) const;

  std::vector<Trained> trained_;
  std::unordered_set<const void*> memory_;  // Of what the items hold.
  std::unordered_set<std::string> shapes_;  // Of what may be copies of live tensors.
  std::vector<std::string> said_by_items_;
};

}  // namespace checkpoint::state
