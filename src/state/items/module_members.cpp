#include "state/items/module_members.h"

#include "compat/private_member.h"

namespace checkpoint::state {
namespace {

using torch::nn::Module;

TORCH_CHECKPOINT_OPEN_MEMBER(ParametersOf, Module::parameters_)
TORCH_CHECKPOINT_OPEN_MEMBER(BuffersOf, Module::buffers_)
TORCH_CHECKPOINT_OPEN_MEMBER(ChildrenOf, Module::children_)

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

}  // namespace checkpoint::state
