#pragma once

#include <torch/nn/module.h>
#include <torch/optim/optimizer.h>

namespace checkpoint::state {

/// Whether the object's type has a `save` or a `load` of its own in place of Module's. Its
/// submodules are not looked at.
bool has_custom_save_or_load(const torch::nn::Module& module);

/// Whether the object's type has a `save` or a `load` that is not the one of `plain`, an object of
/// exactly one of LibTorch's classes.
bool has_custom_save_or_load(const torch::optim::Optimizer& optimizer,
                             const torch::optim::Optimizer& plain);

}  // namespace checkpoint::state
