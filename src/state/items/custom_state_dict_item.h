#pragma once

#include "state/plan/item.h"

#include <functional>
#include <string>

namespace checkpoint::state {

/// An object of the user's that hands over a state of its own, and takes it back.
class CustomStateDictItem final : public Item {
 public:
  /// A way back to what the object is now, for one whose state_dict does not tell all of it.
  using Remember = std::function<std::function<void()>()>;

  /// `read` is its state_dict(), `write` its load_state_dict(value). Without `remember`, what
  /// `write` does is undone by writing what `read` gave.
  CustomStateDictItem(std::string name, std::function<Value()> read,
                      std::function<void(const Value&)> write, Remember remember = nullptr);
  ItemEntry entry() const override;
  Value capture() const override;
  /// Reads the whole tree now, so that `write` never sees a tensor without its data: each to where
  /// map_location says, or else to where its counterpart of `read` is, or to the CPU. `write` runs
  /// before any live tensor is written. What they throw is rethrown as an Error that names the
  /// item.
  void plan(const SavedItem& saved, const ParameterNames& live_names, RestorePlan& plan) override;

 private:
  std::function<Value()> read_;
  std::function<void(const Value&)> write_;
  Remember remember_;
};

}  // namespace checkpoint::state
