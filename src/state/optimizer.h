#pragma once

#include "state/item.h"

#include <torch/optim/optimizer.h>

#include <memory>
#include <string>

namespace checkpoint::state {

/// One of LibTorch's six optimizers: the options of every group and the state of every parameter.
/// Its tree has the layout of Optimizer::save, so that plain LibTorch's Optimizer::load reads it,
/// but with the parameters' indices as keys where LibTorch writes addresses.
/// Throws Error(unsupported) for any other class.
std::unique_ptr<Item> make_optimizer_item(std::string name, torch::optim::Optimizer& optimizer);

}  // namespace checkpoint::state
