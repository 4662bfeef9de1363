#pragma once

#include "state/plan/item.h"

#include <torch/optim/optimizer.h>

#include <memory>
#include <string>

namespace checkpoint::state {

/// An optimizer of the user's own class: what its `save` writes, restored by its `load`. `type` is
/// the class's name: another one's state is refused, as are other parameters or another order.
std::unique_ptr<Item> make_custom_optimizer_item(std::string name,
                                                 torch::optim::Optimizer& optimizer,
                                                 std::string type);

}  // namespace checkpoint::state
