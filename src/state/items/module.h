#pragma once

#include "state/plan/item.h"

#include <torch/nn/module.h>

#include <map>
#include <memory>
#include <string>

namespace checkpoint::state {

/// A module: its parameters and buffers and those of its submodules, by name, as Module::save
/// writes them. For a submodule that overrides `save` or `load`: what its `save` writes.
class ModuleItem final : public Item {
 public:
  ModuleItem(std::string name, std::shared_ptr<torch::nn::Module> module);

  void visit_keys(const std::function<void(const std::string&)>& visit) const override;
  void name_parameters(ParameterNames& names) const override;
  ItemEntry entry() const override;
  std::vector<std::string> eval_modules() const override;
  uint64_t expected_bytes() const override;
  Value capture() const override;
  std::vector<at::Tensor> answers_for(const Value& live) const override;
  std::vector<std::string> unsaved(const Value& live) const override;
  void plan(const SavedItem& saved, const ParameterNames& live_names, RestorePlan& plan) override;
  bool places_parameters() const override { return true; }

 private:
  std::shared_ptr<torch::nn::Module> module_;
};

/// Whether a module's own `save` and `load` (custom_module.h) are used.
enum class CustomLoad { kCalled, kIgnored };

/// Plans to restore a module from saved trees, nested or with dotted names. The live keys begin
/// with `path`, which may be empty. Ignores saved keys whose new names are outside `path`. Of live
/// tensors that share all their memory, one saved key is enough.
void plan_module(torch::nn::Module& module, const std::vector<SavedPart>& saved,
                 const std::string& path, CustomLoad custom_load, RestorePlan& plan);

/// Plans to restore a module from a tree that holds only this module. `file` is the path of the
/// tree's file, or empty. The module need not have the names that `dropped` maps to others
/// (DecodedArchive::dropped). Throws Error(invalid_argument) as SelectionCheck does.
void plan_whole_module(torch::nn::Module& module, const Value& saved, const std::string& file,
                       RestorePlan& plan, const std::map<std::string, std::string>& dropped = {});

/// Reports all chosen keys of a saved tree as unexpected.
void note_unexpected(const Value& saved, const std::string& path, RestorePlan& plan);

}  // namespace checkpoint::state
