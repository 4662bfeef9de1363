#pragma once

#include "state/plan/item.h"

#include <functional>
#include <string>

namespace checkpoint::state {

/// A user's object that returns its own state, and takes it back.
class CustomStateDictItem final : public Item {
 public:
  /// Returns a function that sets the object back to what it is now. For an object whose state_dict
  /// does not hold all of its state.
  using Remember = std::function<std::function<void()>()>;

  /// `read` is its state_dict(), `write` its load_state_dict(value). Without `remember`, `write` is
  /// undone by writing what `read` returned before.
  CustomStateDictItem(std::string name, std::function<Value()> read,
                      std::function<void(const Value&)> write, Remember remember = nullptr);
  ItemEntry entry() const override;
  Value capture() const override;
  /// Reads the whole tree now, so that `write` never gets a tensor without its data. A tensor goes
  /// to the device that map_location gives, or else to that of its counterpart in `read`, or else
  /// to the CPU. `write` runs before any live tensor is written. An exception of `read` or `write`
  /// is rethrown as an Error that names the item.
  void plan(const SavedItem& saved, const ParameterNames& live_names, RestorePlan& plan) override;

 private:
  std::function<Value()> read_;
  std::function<void(const Value&)> write_;
  Remember remember_;
};

}  // namespace checkpoint::state
