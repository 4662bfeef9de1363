#pragma once

#include "state/plan/item.h"

#include <memory>
#include <vector>

namespace checkpoint {

struct State::Impl {
  // Below the items, which refer to them.
  std::vector<std::shared_ptr<const void>> kept_alive;
  std::vector<std::unique_ptr<state::Item>> items;
  bool rng = true;
};

namespace internal {

/// The library's own way into a State.
struct StateAccess {
  static State::Impl& get(const State& state) { return *state.impl_; }
};

}  // namespace internal
}  // namespace checkpoint
