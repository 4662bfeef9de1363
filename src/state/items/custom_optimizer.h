#pragma once

#include "state/plan/item.h"

#include <torch/optim/optimizer.h>

#include <memory>
#include <string>

namespace checkpoint::state {

/// Makes the item for an optimizer of the user's own class. It holds what the optimizer's `save`
/// writes, and its `load` restores that. `type` is the name of the class. The state of another
/// class is refused, and so are other parameters or another order of them.
std::unique_ptr<Item> make_custom_optimizer_item(std::string name,
                                                 torch::optim::Optimizer& optimizer,
                                                 std::string type);

}  // namespace checkpoint::state
