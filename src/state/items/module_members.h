#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/ordered_dict.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace checkpoint::state {

/// What a module itself holds, without its submodules. The public named_parameters, named_buffers
/// and named_children copy them into a new dict at each call, which took a tenth of a save of
/// many small tensors. An undefined tensor is one that is not there (a Linear's bias). The module
/// owns what is returned; what registers another member makes it invalid.
const torch::OrderedDict<std::string, at::Tensor>& parameters_in(const torch::nn::Module& module);
const torch::OrderedDict<std::string, at::Tensor>& buffers_in(const torch::nn::Module& module);
const torch::OrderedDict<std::string, std::shared_ptr<torch::nn::Module>>& children_in(
    const torch::nn::Module& module);

/// Visits the children that a module has now: `visit(name, child)`. A user's own save or load may
/// register others meanwhile, and so move them: each one is copied before its visit.
template <typename Visit>
void for_all_children(const torch::nn::Module& module, const Visit& visit) {
  const size_t count = children_in(module).size();
  for (size_t i = 0; i < std::min(count, children_in(module).size()); ++i) {
    const auto child = children_in(module)[i];
    visit(child.key(), *child.value());
  }
}

/// Returns the parameters of a module and all its submodules, and then their buffers. A tensor that
/// is at several places comes several times. An undefined one does not come.
std::vector<at::Tensor> all_tensors(const torch::nn::Module& module);

}  // namespace checkpoint::state
