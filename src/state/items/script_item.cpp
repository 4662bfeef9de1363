// Captures a TorchScript module's attributes as a tree, submodules nested, and restores them. A
// live tensor is restored in place. Any other attribute is replaced as a whole, if the saved value
// has a type that the attribute accepts.

#include "state/items/script_item.h"

#include "format/torch/ivalue.h"
#include "format/torch/memory_archive.h"
#include "state/items/custom_save_load.h"
#include "state/items/module.h"
#include "state/plan/restore_plan.h"

#include <torch/torch.h>

#include <functional>
#include <set>
#include <utility>

namespace checkpoint::state {
namespace {

using ScriptModule = torch::jit::Module;

constexpr char kTraining[] = "training";

// Visits the keys of all attributes that are not submodules.
void visit_attributes(const ScriptModule& module, const std::string& path,
                      const std::function<void(const std::string&)>& visit) {
  for (const auto& attribute : module.named_attributes(/*recurse=*/false)) {
    if (attribute.name == kTraining) continue;
    const std::string key = dotted(path, attribute.name);
    if (attribute.value.isModule()) {
      visit_attributes(attribute.value.toModule(), key, visit);
    } else {
      visit(key);
    }
  }
}

// Plans an attribute that is not a live tensor: it is replaced as a whole.
void plan_attribute(const ScriptModule& module, const std::string& name, const c10::IValue& live,
                    const Value& saved, const std::string& path, RestorePlan& plan) {
  const c10::IValue wanted = format::to_ivalue(
      read_tree(saved, path, format::from_ivalue(live, path), follow_map_location(plan), plan),
      path);
  const c10::TypePtr type = module.type()->getAttribute(name);
  if (!wanted.type()->isSubtypeOf(*type)) {
    plan.mismatched(path,
                    "a " + type->repr_str() + " here, a " + wanted.type()->repr_str() + " saved");
    return;
  }
  const auto set = [module, name](const c10::IValue& value) {
    ScriptModule target = module;
    target.setattr(name, value);
  };
  plan.add_step([set, wanted] { set(wanted); }, [set, live] { set(live); });
}

void plan_script(const ScriptModule& module, const Value& saved, const std::string& path,
                 RestorePlan& plan) {
  if (!saved.is_dict()) {
    plan.wrong_kind(path, "a module", saved);
    return;
  }
  std::set<std::string> known = {kTraining};
  for (const auto& attribute : module.named_attributes(/*recurse=*/false)) {
    if (attribute.name == kTraining) continue;
    known.insert(attribute.name);
    const std::string key = dotted(path, attribute.name);
    const c10::IValue& live = attribute.value;
    const Value* entry = saved.dict().find(attribute.name);
    if (live.isModule()) {
      static const Value kNothing{Dict()};
      plan_script(live.toModule(), entry != nullptr ? *entry : kNothing, key, plan);
    } else if (!plan.selection().takes(key)) {
      continue;
    } else if (entry == nullptr) {
      plan.missing(key);
    } else if (entry->is_dict()) {
      plan.mismatched(key, "not a module here, and a module saved");
    } else if (live.isTensor() && live.toTensor().defined() && entry->is_tensor()) {
      plan.restore_in_place(live.toTensor(), entry->to_tensor(), key);
    } else {
      plan_attribute(module, attribute.name, live, *entry, key, plan);
    }
  }
  for (const auto& [key, entry] : saved.dict()) {
    const std::string name = to_string(key);
    if (known.count(name) == 0) note_unexpected(entry, dotted(path, name), plan);
  }
}

}  // namespace

ScriptItem::ScriptItem(std::string name, ScriptModule& module)
    : Item(std::move(name)), module_(module) {}

void ScriptItem::visit_keys(const std::function<void(const std::string&)>& visit) const {
  visit_attributes(module_, name(), visit);
}

void ScriptItem::name_parameters(ParameterNames& names) const {
  for (const auto& parameter : module_.named_parameters()) {
    names.emplace(parameter.value.unsafeGetTensorImpl(), dotted(name(), parameter.name));
  }
}

ItemEntry ScriptItem::entry() const { return {name(), "script", "", {}}; }

Value ScriptItem::capture() const { return format::from_script_module(module_, name()); }

void ScriptItem::plan(const SavedItem& saved, const ParameterNames&, RestorePlan& plan) {
  plan_script(module_, saved.value, name(), plan);
}

}  // namespace checkpoint::state
