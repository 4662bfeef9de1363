#pragma once

#include "state/plan/item.h"

#include <checkpoint/state_data.h>

#include <functional>
#include <string>

namespace checkpoint::state {

/// Numbers, texts, tensors and containers of these, by reference. They are replaced whole, in new
/// memory, except tensors that require gradients. An optimizer may hold those too, so they are
/// written in place, and have names like a module's parameters.
class DataItem final : public Item {
 public:
  DataItem(std::string name, internal::LiveData data);
  void name_parameters(ParameterNames& names) const override;
  ItemEntry entry() const override;
  Value capture() const override;
  void plan(const SavedItem& saved, const ParameterNames& live_names, RestorePlan& plan) override;
  bool places_parameters() const override { return data_.may_hold_tensors; }
  bool has_any_keys() const override { return true; }

 private:
  // Returns a function that puts the saved data into the live object. Null if the data does not
  // fit; the plan's report then says why.
  std::function<void()> prepare(const Value& saved, RestorePlan& plan) const;

  internal::LiveData data_;
};

}  // namespace checkpoint::state
