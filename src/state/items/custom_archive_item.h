#pragma once

#include "state/items/custom_save_load.h"
#include "state/plan/item.h"

#include <string>

namespace checkpoint::state {

/// A user's object that has a `save` and a `load` for LibTorch's archives, by reference.
class CustomArchiveItem final : public Item {
 public:
  /// `type` is the name of its class. The state of another class is refused.
  CustomArchiveItem(std::string name, std::string type, CustomSaveLoad object);
  ItemEntry entry() const override;
  Value capture() const override;
  void plan(const SavedItem& saved, const ParameterNames& live_names, RestorePlan& plan) override;

 private:
  std::string type_;
  CustomSaveLoad object_;
};

}  // namespace checkpoint::state
