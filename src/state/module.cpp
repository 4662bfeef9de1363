#include "state/module.h"

#include "state/overrides.h"
#include "state/overriding_module.h"
#include "state/restore_plan.h"

#include <torch/torch.h>

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

Value capture_module(Module& module, const std::string& path) {
  if (overrides_save_or_load(module)) return capture_overriding(module, path);
  Dict tree;
  for_own_tensors(module, [&](const std::string& name, const at::Tensor& tensor) {
    tree.insert(name, tensor);
  });
  for_children(module, [&](const std::string& name, Module& child) {
    tree.insert(name, capture_module(child, dotted(path, name)));
  });
  return tree;
}

void note_all(const Value& value, const std::string& path, std::vector<std::string>& keys) {
  if (!value.is_dict()) {
    keys.push_back(path);
    return;
  }
  for (const auto& [key, entry] : value.dict()) note_all(entry, dotted(path, to_string(key)), keys);
}

void plan_module(Module& module, const Value& saved, const std::string& path, RestorePlan& plan) {
  if (overrides_save_or_load(module)) {
    plan_overriding(module, saved, path, plan);
    return;
  }
  if (!saved.is_dict()) {
    plan.mismatched(
        path, std::string("a module here, and a ") + to_string(saved.kind()) + " in the file");
    return;
  }
  std::set<std::string> known;
  for_own_tensors(module, [&](const std::string& name, const at::Tensor& live) {
    known.insert(name);
    const std::string key = dotted(path, name);
    const Value* entry = saved.dict().find(name);
    if (entry == nullptr) {
      plan.missing(key);
    } else if (!entry->is_tensor()) {
      plan.mismatched(
          key, std::string("a tensor here, and a ") + to_string(entry->kind()) + " in the file");
    } else {
      plan.restore_in_place(live, entry->to_tensor(), key);
    }
  });
  for_children(module, [&](const std::string& name, Module& child) {
    known.insert(name);
    static const Value kNothing{Dict()};
    const Value* entry = saved.dict().find(name);
    plan_module(child, entry != nullptr ? *entry : kNothing, dotted(path, name), plan);
  });
  note_unexpected(saved.dict(), known, path, plan);
}

}  // namespace

void note_unexpected(const Dict& saved, const std::set<std::string>& known, const std::string& path,
                     RestorePlan& plan) {
  for (const auto& [key, entry] : saved) {
    const std::string name = to_string(key);
    if (known.count(name) != 0) continue;
    std::vector<std::string> keys;
    note_all(entry, dotted(path, name), keys);
    for (const std::string& unexpected : keys) plan.unexpected(unexpected);
  }
}

ModuleItem::ModuleItem(std::string name, std::shared_ptr<Module> module)
    : Item(std::move(name)), module_(std::move(module)) {}

void ModuleItem::name_parameters(ParameterNames& names) const {
  for (const auto& parameter : module_->named_parameters()) {
    // The first name of a parameter that has several (tied weights).
    names.emplace(parameter.value().unsafeGetTensorImpl(), dotted(name(), parameter.key()));
  }
}

ItemEntry ModuleItem::describe() const { return {name(), "module", "", {}}; }

Value ModuleItem::capture() const { return capture_module(*module_, name()); }

void ModuleItem::plan(const SavedItem& saved, const ParameterNames&, RestorePlan& plan) {
  plan_module(*module_, saved.value, name(), plan);
}

}  // namespace checkpoint::state
