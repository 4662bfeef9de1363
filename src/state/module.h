#pragma once

#include "state/item.h"

#include <torch/nn/module.h>

#include <memory>
#include <string>

namespace checkpoint::state {

/// A module: its parameters, its buffers and its children's, by name, as Module::save writes them.
class ModuleItem final : public Item {
 public:
  ModuleItem(std::string name, std::shared_ptr<torch::nn::Module> module);

  void name_parameters(ParameterNames& names) const override;
  ItemEntry describe() const override;
  std::vector<std::string> eval_modules() const override;
  Value capture() const override;
  void plan(const SavedItem& saved, const ParameterNames& live_names, RestorePlan& plan) override;
  bool places_parameters() const override { return true; }

 private:
  std::shared_ptr<torch::nn::Module> module_;
};

/// Plans to restore a module's tensors from a saved tree, nested or with dotted names. `path` is
/// what its keys begin with, and may be empty.
void plan_module(const torch::nn::Module& module, const Value& saved, const std::string& path,
                 RestorePlan& plan);

}  // namespace checkpoint::state
