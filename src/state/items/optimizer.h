#pragma once

#include "state/items/optimizer_codec.h"
#include "state/plan/item.h"

#include <torch/optim/optimizer.h>

#include <memory>
#include <string>
#include <vector>

namespace checkpoint::state {

/// Makes the item for an optimizer. For LibTorch's six classes, it holds the options of every group
/// and the state of every parameter. The same is true for a class derived from one of them that
/// adds no `save` or `load`. The tree has the layout of Optimizer::save, so that plain LibTorch's
/// Optimizer::load reads it. Its keys are the parameters' indices, where LibTorch writes addresses.
/// For any other class, it holds what the class's own `save` writes (custom_optimizer.h).
std::unique_ptr<Item> make_optimizer_item(std::string name, torch::optim::Optimizer& optimizer);

/// Returns what such an optimizer holds, in that layout. `codec` must fit it.
Value capture_optimizer(const torch::optim::Optimizer& optimizer, const OptimizerCodec& codec);

/// Returns how many parameters each group has.
std::vector<int64_t> group_sizes(const torch::optim::Optimizer& optimizer);

/// Returns the parameters of all groups.
std::vector<at::Tensor> parameters_of(const torch::optim::Optimizer& optimizer);

/// Returns the parameters' names, group by group, in order; "" for a parameter that no item of the
/// State names.
std::vector<std::vector<std::string>> names_of_parameters(const torch::optim::Optimizer& optimizer,
                                                          const ParameterNames& live_names);

}  // namespace checkpoint::state
