#pragma once

#include <torch/nn/module.h>
#include <torch/optim/optimizer.h>

namespace checkpoint::state {

/// Returns whether the object's type overrides Module's `save` or `load`. Does not check its
/// submodules.
bool has_custom_save_or_load(const torch::nn::Module& module);

/// Returns whether the object's type overrides `save` or `load` of `plain`, an object of one of
/// LibTorch's own classes.
bool has_custom_save_or_load(const torch::optim::Optimizer& optimizer,
                             const torch::optim::Optimizer& plain);

}  // namespace checkpoint::state
