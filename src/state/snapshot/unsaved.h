#pragma once

#include "state/plan/item.h"

#include <ATen/core/Tensor.h>

#include <memory_resource>
#include <string>
#include <unordered_set>
#include <vector>

namespace checkpoint::state {

/// Finds what is trained but not saved: tensors that an optimizer knows and no item holds, and what
/// the items themselves report (Item::unsaved).
class Unsaved {
 public:
  /// Checks one item. `live` is what the item captured, still with the live tensors.
  void look_at(const Item& item, const Value& live);
  /// Returns a warning for each of these, after all items were checked. Empty if everything is
  /// saved.
  std::vector<std::string> lines() const;

 private:
  struct Trained {
    std::string optimizer;
    std::vector<at::Tensor> tensors;
  };

  void hold(const at::Tensor& tensor);
  bool is_held(const at::Tensor& tensor) const;

  std::vector<Trained> trained_;
  std::pmr::monotonic_buffer_resource arena_;  // Entries come one by one, and go together.
  std::pmr::unordered_set<const void*> memory_{&arena_};  // The memory of the items' tensors.
  std::unordered_set<std::string> shapes_;                // Of tensors that may be copies.
  std::vector<std::string> said_by_items_;
};

}  // namespace checkpoint::state
