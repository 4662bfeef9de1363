#pragma once

#include "state/item.h"

#include <torch/nn/module.h>

#include <memory>
#include <set>
#include <string>

namespace checkpoint::state {

/// A module: its parameters, its buffers and its children's, by name, as Module::save writes them;
/// and what any of them writes by a `save` of its own.
class ModuleItem final : public Item {
 public:
  ModuleItem(std::string name, std::shared_ptr<torch::nn::Module> module);

  void name_parameters(ParameterNames& names) const override;
  ItemEntry describe() const override;
  Value capture() const override;
  void plan(const SavedItem& saved, const ParameterNames& live_names, RestorePlan& plan) override;
  bool places_parameters() const override { return true; }

 private:
  std::shared_ptr<torch::nn::Module> module_;
};

/// Adds to the plan's report the entries of a saved module that are none of `known`, each by all
/// its keys.
void note_unexpected(const Dict& saved, const std::set<std::string>& known, const std::string& path,
                     RestorePlan& plan);

}  // namespace checkpoint::state
