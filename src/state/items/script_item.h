#pragma once

#include "state/plan/item.h"

#include <torch/csrc/jit/api/module.h>

#include <string>

namespace checkpoint::state {

/// A TorchScript module, by reference: its parameters, buffers and other attributes, submodules
/// nested. Its code is not saved. Tensors are restored in place, other attributes are set. The
/// training flag is saved but not restored.
class ScriptItem final : public Item {
 public:
  ScriptItem(std::string name, torch::jit::Module& module);

  void visit_keys(const std::function<void(const std::string&)>& visit) const override;
  void name_parameters(ParameterNames& names) const override;
  ItemEntry entry() const override;
  Value capture() const override;
  void plan(const SavedItem& saved, const ParameterNames& live_names, RestorePlan& plan) override;
  bool places_parameters() const override { return true; }

 private:
  torch::jit::Module& module_;
};

}  // namespace checkpoint::state
