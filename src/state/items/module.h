#pragma once

#include "state/plan/item.h"

#include <torch/nn/module.h>

#include <memory>
#include <string>

namespace checkpoint::state {

/// A module: its parameters, its buffers and its children's, by name, as Module::save writes them;
/// and what any of them writes by a `save` of its own.
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

/// Whether a module's own `save` and `load` (custom_module.h) have a say.
enum class CustomLoad { kCalled, kIgnored };

/// Plans to restore a module from saved trees, nested or with dotted names. `path` is what its keys
/// begin with, and may be empty; what of the trees becomes a key elsewhere is passed by.
void plan_module(torch::nn::Module& module, const std::vector<SavedPart>& saved,
                 const std::string& path, CustomLoad custom_load, RestorePlan& plan);

/// Plans to restore a module from a file that is nothing but that module's tree, or from such a
/// tree; `file` is its path. Throws Error(invalid_argument) as SelectionCheck does.
void plan_whole_module(torch::nn::Module& module, const Value& saved, const std::string& file,
                       RestorePlan& plan);

/// Adds to the plan's report all chosen keys of a saved tree, as unexpected.
void note_unexpected(const Value& saved, const std::string& path, RestorePlan& plan);

}  // namespace checkpoint::state
