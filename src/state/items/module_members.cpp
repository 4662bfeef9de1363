#include "state/items/module_members.h"

#include "compat/private_member.h"

namespace checkpoint::state {
namespace {

using torch::nn::Module;

TORCH_CHECKPOINT_OPEN_MEMBER(ParametersOf, Module::parameters_)
TORCH_CHECKPOINT_OPEN_MEMBER(BuffersOf, Module::buffers_)
TORCH_CHECKPOINT_OPEN_MEMBER(ChildrenOf, Module::children_)

// Adds all parameters, or all buffers, of a module and its submodules.
template <typename Members>
void add_tensors(const Module& module, const Members& members, std::vector<at::Tensor>& tensors) {
  for (const auto& tensor : members(module)) {
    if (tensor.value().defined()) tensors.push_back(tensor.value());
  }
  for_all_children(module, [&](const std::string&, const Module& child) {
    add_tensors(child, members, tensors);
  });
}

}  // namespace

const torch::OrderedDict<std::string, at::Tensor>& parameters_in(const Module& module) {
  return module.*member_of(ParametersOf());
}

const torch::OrderedDict<std::string, at::Tensor>& buffers_in(const Module& module) {
  return module.*member_of(BuffersOf());
}

const torch::OrderedDict<std::string, std::shared_ptr<Module>>& children_in(const Module& module) {
  return module.*member_of(ChildrenOf());
}

std::vector<at::Tensor> all_tensors(const Module& module) {
  std::vector<at::Tensor> tensors;
  add_tensors(module, parameters_in, tensors);
  add_tensors(module, buffers_in, tensors);
  return tensors;
}

}  // namespace checkpoint::state
