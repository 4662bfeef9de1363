#pragma once

#include "state/items/custom_save_load.h"
#include "state/plan/item.h"

#include <string>

namespace checkpoint::state {

/// Any object of the user's that has a `save` and a `load` for LibTorch's archives, by reference.
class ArchivedItem final : public Item {
 public:
  /// `type` is its class's name: another one's state is refused.
  ArchivedItem(std::string name, std::string type, SelfSaving object);
  ItemEntry describe() const override;
  Value capture() const override;
  void plan(const SavedItem& saved, const ParameterNames& live_names, RestorePlan& plan) override;

 private:
  std::string type_;
  SelfSaving object_;
};

}  // namespace checkpoint::state
