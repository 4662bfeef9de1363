#pragma once

#include "state/plan/item.h"

#include <memory>
#include <vector>

namespace checkpoint {

struct State::Impl {
  // Declared before the items, which refer to them, so that it is destroyed after them.
  std::vector<std::shared_ptr<const void>> kept_alive;
  std::vector<std::unique_ptr<state::Item>> items;
  std::vector<Shard> shards;
  bool rng = true;
};

namespace internal {

/// Gives the library access to a State's items.
struct StateAccess {
  static State::Impl& get(const State& state) { return *state.impl_; }
};

}  // namespace internal
}  // namespace checkpoint
