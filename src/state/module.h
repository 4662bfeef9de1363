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
  Value capture() const override;
  void plan(const SavedItem& saved, const ParameterNames& live_names, RestorePlan& plan) override;
  bool places_parameters() const override { return true; }

 private:
  std::shared_ptr<torch::nn::Module> module_;
};

}  // namespace checkpoint::state
