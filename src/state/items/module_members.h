#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/ordered_dict.h>

#include <memory>
#include <string>

namespace checkpoint::state {

/// What a module itself holds, without its submodules. The public named_parameters, named_buffers
/// and named_children copy them into a new dict at each call, which took a tenth of a save of
/// many small tensors. An undefined tensor is one that is not there (a Linear's bias). The module
/// owns what is returned; what registers another member makes it invalid.
const torch::OrderedDict<std::string, at::Tensor>& parameters_in(const torch::nn::Module& module);
const torch::OrderedDict<std::string, at::Tensor>& buffers_in(const torch::nn::Module& module);
const torch::OrderedDict<std::string, std::shared_ptr<torch::nn::Module>>& children_in(
    const torch::nn::Module& module);

}  // namespace checkpoint::state
