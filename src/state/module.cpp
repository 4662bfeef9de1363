#include "state/module.h"

#include "state/restore_plan.h"

#include <torch/torch.h>

#include <map>
#include <set>
#include <utility>

namespace checkpoint::state {
namespace {

using torch::nn::Module;

// The tensors that a module itself holds; undefined ones (BatchNorm without statistics) are not
// there, as in Module::save.
template <typename Visit>
void for_own_tensors(const Module& module, const Visit& visit) {
  for (const auto& parameter : module.named_parameters(/*recurse=*/false)) {
    visit(parameter.key(), parameter.value());
  }
  for (const auto& buffer : module.named_buffers(/*recurse=*/false)) {
    visit(buffer.key(), buffer.value());
  }
}

// Children that LibTorch does not save (torch::nn::Functional) have no state.
template <typename Visit>
void for_children(const Module& module, const Visit& visit) {
  for (const auto& child : module.named_children()) {
    if (child.value()->is_serializable()) visit(child.key(), *child.value());
  }
}

// A module and all below it, parents first. (Module::named_modules wants itself in a shared_ptr.)
template <typename Visit>
void for_modules(Module& module, const std::string& path, const Visit& visit) {
  visit(path, module);
  for (const auto& child : module.named_children()) {
    for_modules(*child.value(), dotted(path, child.key()), visit);
  }
}

Value capture_module(const Module& module) {
  Dict tree;
  for_own_tensors(module, [&](const std::string& name, const at::Tensor& tensor) {
    tree.insert(name, tensor);
  });
  for_children(module, [&](const std::string& name, const Module& child) {
    tree.insert(name, capture_module(child));
  });
  return tree;
}

// The leaves of a saved tree by their live keys. Nested dicts and dotted names come to the same.
using Leaves = std::map<std::string, const Value*>;

void collect_leaves(const Value& value, const std::string& path, RestorePlan& plan,
                    Leaves& leaves) {
  if (!value.is_dict()) {
    const std::string live_key = plan.selection().renamed(path);
    if (!leaves.emplace(live_key, &value).second) {
      plan.mismatched(live_key, "'" + path + "' is not the only key of the file that becomes it");
    }
    return;
  }
  for (const auto& [key, entry] : value.dict()) {
    collect_leaves(entry, dotted(path, to_string(key)), plan, leaves);
  }
}

void plan_requires_grad(at::Tensor live, const Value& saved, RestorePlan& plan) {
  // Only a leaf may change it, and only one that can have a gradient.
  if (!live.is_leaf() || !(live.is_floating_point() || live.is_complex())) return;
  const bool wanted = saved.to_tensor().requires_grad();
  plan.finally([live, wanted]() mutable { live.set_requires_grad(wanted); });
}

// Takes out of `leaves` what has its counterpart here.
void plan_tensors(const Module& module, const std::string& path, Leaves& leaves,
                  RestorePlan& plan) {
  for_own_tensors(module, [&](const std::string& name, const at::Tensor& live) {
    const std::string key = dotted(path, name);
    const auto leaf = leaves.find(key);
    if (!plan.selection().takes(key)) {
      // Left as it is.
    } else if (leaf == leaves.end()) {
      plan.missing(key);
    } else if (!leaf->second->is_tensor()) {
      plan.mismatched(key, std::string("a tensor here, and a ") + to_string(leaf->second->kind()) +
                               " in the file");
    } else {
      plan.restore_in_place(live, leaf->second->to_tensor(), key);
      if (plan.options().restore_modes()) plan_requires_grad(live, *leaf->second, plan);
    }
    if (leaf != leaves.end()) leaves.erase(leaf);
  });
  for_children(module, [&](const std::string& name, const Module& child) {
    plan_tensors(child, dotted(path, name), leaves, plan);
  });
}

}  // namespace

ModuleItem::ModuleItem(std::string name, std::shared_ptr<Module> module)
    : Item(std::move(name)), module_(std::move(module)) {}

void ModuleItem::name_parameters(ParameterNames& names) const {
  for (const auto& parameter : module_->named_parameters()) {
    // The first name of a parameter that has several (tied weights).
    names.emplace(parameter.value().unsafeGetTensorImpl(), dotted(name(), parameter.key()));
  }
}

ItemEntry ModuleItem::describe() const { return {name(), "module", "", {}}; }

std::vector<std::string> ModuleItem::eval_modules() const {
  std::vector<std::string> names;
  for_modules(*module_, name(), [&](const std::string& name, Module& module) {
    if (!module.is_training()) names.push_back(name);
  });
  return names;
}

Value ModuleItem::capture() const { return capture_module(*module_); }

void ModuleItem::plan(const SavedItem& saved, const ParameterNames&, RestorePlan& plan) {
  plan_module(*module_, saved.value, name(), plan);
  if (!plan.options().restore_modes()) return;
  plan.finally(
      [this, eval = std::set<std::string>(saved.eval_modules.begin(), saved.eval_modules.end())] {
        // Parents come first, and train() reaches their children, who then get their own.
        for_modules(*module_, name(), [&](const std::string& name, Module& module) {
          module.train(eval.count(name) == 0);
        });
      });
}

void plan_module(const Module& module, const Value& saved, const std::string& path,
                 RestorePlan& plan) {
  Leaves leaves;
  collect_leaves(saved, path, plan, leaves);
  plan_tensors(module, path, leaves, plan);
  for (const auto& leaf : leaves) {
    if (plan.selection().takes(leaf.first)) plan.unexpected(leaf.first);
  }
}

}  // namespace checkpoint::state
