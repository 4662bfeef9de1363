#pragma once

#include "state/plan/item.h"

#include <torch/optim/optimizer.h>

#include <memory>
#include <string>
#include <vector>

namespace checkpoint::state {

/// An optimizer. One of LibTorch's six, and a class derived from one that adds no `save` and `load`
/// of its own: the options of every group and the state of every parameter. Its tree has the layout
/// of Optimizer::save, so that plain LibTorch's Optimizer::load reads it, but with the parameters'
/// indices as keys where LibTorch writes addresses. Any other class: what its own `save` writes
/// (custom_optimizer.h).
std::unique_ptr<Item> make_optimizer_item(std::string name, torch::optim::Optimizer& optimizer);

/// How many parameters each group has.
std::vector<int64_t> group_sizes(const torch::optim::Optimizer& optimizer);

/// Its parameters, all groups'.
std::vector<at::Tensor> parameters_of(const torch::optim::Optimizer& optimizer);

/// The parameters' names, group by group, in order; "" for one of no module in the State.
std::vector<std::vector<std::string>> names_of_parameters(const torch::optim::Optimizer& optimizer,
                                                          const ParameterNames& live_names);

}  // namespace checkpoint::state
