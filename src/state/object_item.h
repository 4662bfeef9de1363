#pragma once

#include "state/item.h"

#include <functional>
#include <string>

namespace checkpoint::state {

/// An object of the user's that hands over a state of its own, and takes it back.
class ObjectItem final : public Item {
 public:
  /// `read` is its state_dict(), `write` its load_state_dict(value).
  ObjectItem(std::string name, std::function<Value()> read,
             std::function<void(const Value&)> write);
  ItemEntry describe() const override;
  Value capture() const override;
  /// Reads the whole tree into CPU memory now, so that `write` never sees a tensor without its
  /// data; `write` runs before any live tensor is written, and is undone by itself, with what
  /// `read` gave now. What they throw is rethrown as an Error that names the item.
  void plan(const SavedItem& saved, const ParameterNames& live_names, RestorePlan& plan) override;

 private:
  std::function<Value()> read_;
  std::function<void(const Value&)> write_;
};

}  // namespace checkpoint::state
