// Captures a module's parameters and buffers as a tree, and restores them into the same tensors. A
// restore first lists the saved values by their live keys, because a rename may move a key into
// another module. Then each live tensor takes its counterpart. What is left over is unexpected.
// custom_module.cpp handles submodules that override save or load.

#include "state/items/module.h"

#include "format/tree/dense.h"
#include "state/items/custom_methods.h"
#include "state/items/custom_module.h"
#include "state/items/custom_save_load.h"
#include "state/items/module_members.h"
#include "state/plan/renamed_tree.h"
#include "state/plan/restore_plan.h"

#include <checkpoint/error.h>

#include <torch/torch.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

namespace checkpoint::state {
namespace {

using torch::nn::Module;

const std::string kNoPath;

// Visits the tensors that a module itself holds. Skips undefined ones (BatchNorm without
// statistics), like Module::save.
template <typename Visit>
void for_own_tensors(const Module& module, const Visit& visit) {
  for (const auto* const tensors : {&parameters_in(module), &buffers_in(module)}) {
    for (const auto& tensor : *tensors) {
      if (tensor.value().defined()) visit(tensor.key(), tensor.value());
    }
  }
}

// Visits the children, except those that LibTorch does not save (torch::nn::Functional): they have
// no state.
template <typename Visit>
void for_children(const Module& module, const Visit& visit) {
  for_all_children(module, [&](const std::string& name, Module& child) {
    if (child.is_serializable()) visit(name, child);
  });
}

// Visits all parameters with their paths, in the order of Module::named_parameters.
template <typename Visit>
void for_parameters(const Module& module, const std::string& path, const Visit& visit) {
  for (const auto& parameter : parameters_in(module)) {
    if (parameter.value().defined()) visit(dotted(path, parameter.key()), parameter.value());
  }
  for_all_children(module, [&](const std::string& name, Module& child) {
    for_parameters(child, dotted(path, name), visit);
  });
}

// Visits a module and all its submodules, parents first. (Module::named_modules needs the module to
// be in a shared_ptr.)
template <typename Visit>
void for_modules(Module& module, const std::string& path, const Visit& visit) {
  visit(path, module);
  for_all_children(module, [&](const std::string& name, Module& child) {
    for_modules(child, dotted(path, name), visit);
  });
}

Value capture_module(Module& module, const std::string& path) {
  if (has_custom_save_or_load(module)) return capture_custom_module(module, path);
  Dict tree;
  for_own_tensors(module, [&](const std::string& name, const at::Tensor& tensor) {
    tree.insert(name, tensor);
  });
  for_children(module, [&](const std::string& name, Module& child) {
    tree.insert(name, capture_module(child, dotted(path, name)));
  });
  return tree;
}

// Visits the topmost modules that override save or load, each with what it wrote and its path.
template <typename Visit>
void for_own_saves(Module& module, const Value& captured, const std::string& path,
                   const Visit& visit) {
  if (has_custom_save_or_load(module)) {
    visit(module, captured, path);
    return;
  }
  for_children(module, [&](const std::string& name, Module& child) {
    // What a save has registered meanwhile was not captured.
    const Value* const its = captured.dict().find(name);
    if (its != nullptr) for_own_saves(child, *its, dotted(path, name), visit);
  });
}

void plan_requires_grad(const at::Tensor& live, const Value& saved, RestorePlan& plan) {
  // Only a leaf may change requires_grad, and only one that can have a gradient.
  if (!live.is_leaf() || !(live.is_floating_point() || live.is_complex())) return;
  plan.set_requires_grad(live, saved.to_tensor().requires_grad());
}

// Visits the keys of all tensors, and the paths of the topmost modules that are restored whole.
template <typename Visit>
void for_keys(const Module& module, const std::string& path, CustomLoad custom_load,
              const Visit& visit) {
  if (custom_load == CustomLoad::kCalled && has_custom_save_or_load(module)) {
    visit(path);
    return;
  }
  for_own_tensors(module,
                  [&](const std::string& name, const at::Tensor&) { visit(dotted(path, name)); });
  for_children(module, [&](const std::string& name, Module& child) {
    for_keys(child, dotted(path, name), custom_load, visit);
  });
}

// Plans one module's restore, in the steps of the first lines of this file.
class ModulePlan {
 public:
  ModulePlan(const std::string& path, CustomLoad custom_load, RestorePlan& plan)
      : path_(path), custom_load_(custom_load), plan_(plan) {}

  void run(Module& module, const std::vector<SavedPart>& saved,
           const std::map<std::string, std::string>& dropped = {}) {
    find_own_loads(module, path_);
    for (const SavedPart& part : saved) lay_out(part.value, part.path);
    match(module, path_);
    match_tied();
    for (const auto& [name, kept] : dropped) leaves_.erase(plan_.selection().renamed(name));
    for (const auto& leaf : leaves_) {
      if (plan_.selection().takes(leaf.first)) plan_.unexpected(leaf.first);
    }
  }

 private:
  // Finds the topmost modules that override save or load. Everything below such a module belongs to
  // it.
  void find_own_loads(Module& module, const std::string& path) {
    if (custom_load_ == CustomLoad::kIgnored) return;
    if (has_custom_save_or_load(module)) {
      own_loads_.emplace(path, std::nullopt);
      return;
    }
    for_children(module, [&](const std::string& name, Module& child) {
      find_own_loads(child, dotted(path, name));
    });
  }

  // Treats nested dicts and dotted names alike.
  void lay_out(const Value& value, const std::string& path) {
    const Selection& selection = plan_.selection();
    std::string live_key = value.is_dict() ? selection.renamed_path(path) : selection.renamed(path);
    const auto custom_load = own_loads_.find(live_key);
    if (custom_load != own_loads_.end()) {
      lay_out_own_load(custom_load->second, value, path, live_key);
    } else if (value.is_dict()) {
      for (const auto& [key, entry] : value.dict()) lay_out(entry, dotted(path, to_string(key)));
    } else if (is_at_or_below(live_key, path_) &&
               !leaves_.try_emplace(std::move(live_key), &value).second) {
      note_second(live_key, path);  // A key that is there already is not moved from.
    }
  }

  void lay_out_own_load(std::optional<Value>& custom_load, const Value& value,
                        const std::string& path, const std::string& live_path) {
    if (custom_load) {
      note_second(live_path, path);
    } else {
      custom_load = renamed_tree(value, path, live_path, plan_);
    }
  }

  void note_second(const std::string& live_key, const std::string& path) {
    plan_.mismatched(live_key, "'" + path + "' is not the only saved key that is renamed to it");
  }

  void match(Module& module, const std::string& path) {
    const auto custom_load = own_loads_.find(path);
    if (custom_load != own_loads_.end()) {
      match_own_load(module, custom_load->second, path);
      return;
    }
    for_own_tensors(module, [&](const std::string& name, const at::Tensor& live) {
      match_tensor(live, dotted(path, name));
    });
    for_children(module,
                 [&](const std::string& name, Module& child) { match(child, dotted(path, name)); });
  }

  void match_own_load(Module& module, const std::optional<Value>& saved, const std::string& path) {
    if (!plan_.selection().takes(path)) return;
    if (!saved) {
      plan_.missing(path);
    } else {
      plan_custom_module(module, *saved, path, plan_);
    }
  }

  void match_tensor(const at::Tensor& live, const std::string& key) {
    const auto leaf = leaves_.find(key);
    const Value* const saved = leaf != leaves_.end() ? leaf->second : nullptr;
    if (saved != nullptr) leaves_.erase(leaf);
    if (!plan_.selection().takes(key)) return;
    if (saved == nullptr) {
      absent_.push_back({live, key});
    } else if (!saved->is_tensor()) {
      plan_.wrong_kind(key, "a tensor", *saved);
    } else {
      present_.push_back({live, saved->to_tensor()});
      plan_.restore_in_place(live, saved->to_tensor(), key);
      if (plan_.options().restore_modes()) plan_requires_grad(live, *saved, plan_);
    }
  }

  // A live tensor without a saved key of its own.
  struct Absent {
    at::Tensor live;
    std::string key;
  };
  // A live tensor, and the saved one for it.
  struct Present {
    at::Tensor live;
    at::Tensor saved;
  };

  static bool may_be_tied(const at::Tensor& live) {
    return live.layout() == c10::kStrided && !live.is_meta() && live.numel() > 0 &&
           format::missing_memory(live).empty();
  }

  // Programs may write only one name of tensors that share their memory (tied weights). The value
  // of that name is the value of all.
  void match_tied() {
    if (absent_.empty()) return;
    std::unordered_multimap<const void*, const Present*> by_memory;
    for (const Present& present : present_) {
      if (may_be_tied(present.live)) by_memory.emplace(present.live.data_ptr(), &present);
    }
    for (const Absent& absent : absent_) {
      const Present* const tied = find_tied(by_memory, absent.live);
      if (tied != nullptr) {
        plan_.restore_in_place(absent.live, tied->saved, absent.key);
      } else {
        plan_.missing(absent.key);
      }
    }
  }

  static const Present* find_tied(const std::unordered_multimap<const void*, const Present*>& known,
                                  const at::Tensor& live) {
    if (!may_be_tied(live)) return nullptr;
    const auto [first, last] = known.equal_range(live.data_ptr());
    const auto tied = std::find_if(
        first, last, [&](const auto& entry) { return format::are_tied(entry.second->live, live); });
    return tied != last ? tied->second : nullptr;
  }

  const std::string& path_;
  CustomLoad custom_load_;
  RestorePlan& plan_;
  std::vector<Absent> absent_;
  std::vector<Present> present_;
  std::map<std::string, const Value*> leaves_;             // By live keys.
  std::map<std::string, std::optional<Value>> own_loads_;  // By live paths; empty if not saved.
};

}  // namespace

ModuleItem::ModuleItem(std::string name, std::shared_ptr<Module> module)
    : Item(std::move(name)), module_(std::move(module)) {}

void ModuleItem::visit_keys(const std::function<void(const std::string&)>& visit) const {
  for_keys(*module_, name(), CustomLoad::kCalled, visit);
}

void ModuleItem::name_parameters(ParameterNames& names) const {
  // A parameter with several names (tied weights) keeps its first one.
  for_parameters(*module_, name(), [&](std::string path, const at::Tensor& parameter) {
    names.try_emplace(parameter.unsafeGetTensorImpl(), std::move(path));
  });
}

ItemEntry ModuleItem::entry() const { return {name(), "module", "", {}}; }

std::vector<std::string> ModuleItem::eval_modules() const {
  std::vector<std::string> names;
  for_modules(*module_, name(), [&](const std::string& path, Module& module) {
    if (!module.is_training()) names.push_back(path);
  });
  return names;
}

uint64_t ModuleItem::expected_bytes() const {
  uint64_t sum = 0;
  for (const at::Tensor& tensor : all_tensors(*module_)) sum += tensor.nbytes();
  return sum;
}

Value ModuleItem::capture() const { return capture_module(*module_, name()); }

std::vector<at::Tensor> ModuleItem::answers_for(const Value& live) const {
  std::vector<at::Tensor> tensors;
  for_own_saves(*module_, live, name(), [&](Module& module, const Value&, const auto&) {
    const std::vector<at::Tensor> its = all_tensors(module);
    tensors.insert(tensors.end(), its.begin(), its.end());
  });
  return tensors;
}

std::vector<std::string> ModuleItem::unsaved(const Value& live) const {
  if (is_empty(live) && all_tensors(*module_).empty()) {
    return {'\'' + name() +
            "' holds no parameters and no buffers: register its parts "
            "(register_module, register_parameter, register_buffer)"};
  }
  std::vector<std::string> lines;
  for_own_saves(*module_, live, name(), [&](Module& module, const Value& wrote, const auto& path) {
    const size_t count = all_tensors(module).size();
    if (count == 0 || !is_empty(wrote)) return;
    lines.push_back("the save() of '" + path + "' writes nothing: its " + std::to_string(count) +
                    (count == 1 ? " tensor does" : " tensors do") + " not come back");
  });
  return lines;
}

void ModuleItem::plan(const SavedItem& saved, const ParameterNames&, RestorePlan& plan) {
  plan_module(*module_, saved.parts, name(), CustomLoad::kCalled, plan);
  if (!plan.options().restore_modes()) return;
  const std::set<std::string> eval(saved.eval_modules.begin(), saved.eval_modules.end());
  plan.add_final([this, eval] {
    // Parents come first: train() also sets their children, which then get their own mode.
    for_modules(*module_, name(), [&](const std::string& path, Module& module) {
      module.train(eval.count(path) == 0);
    });
  });
}

void plan_module(Module& module, const std::vector<SavedPart>& saved, const std::string& path,
                 CustomLoad custom_load, RestorePlan& plan) {
  ModulePlan(path, custom_load, plan).run(module, saved);
}

void plan_whole_module(Module& module, const Value& saved, const std::string& file,
                       RestorePlan& plan, const std::map<std::string, std::string>& dropped) {
  if (!plan.options().items().empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "RestoreOptions::items chooses items of a State; a module has no items", file, 0,
                "Use include, with keys such as '0.weight'.");
  }
  SelectionCheck check(plan.selection());
  if (check.is_needed()) {
    for_keys(module, "", CustomLoad::kIgnored,
             [&](const std::string& key) { check.add_live("", key); });
    add_saved_keys(saved, "", plan.selection(), check);
    check.require(file);
  }
  ModulePlan(kNoPath, CustomLoad::kIgnored, plan).run(module, {{"", saved}}, dropped);
}

void note_unexpected(const Value& saved, const std::string& path, RestorePlan& plan) {
  if (!saved.is_dict()) {
    if (plan.selection().takes(path)) plan.unexpected(path);
    return;
  }
  for (const auto& [key, entry] : saved.dict()) {
    note_unexpected(entry, dotted(path, to_string(key)), plan);
  }
}

}  // namespace checkpoint::state
