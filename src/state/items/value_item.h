#pragma once

#include "state/plan/item.h"

#include <checkpoint/state.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace checkpoint::state {

/// A user's number or text, by reference.
class ValueItem final : public Item {
 public:
  /// Returns why a saved value cannot be written; "" if it can. The text is the item's type in the
  /// manifest.
  using Misfit = std::function<std::string(const Value&, const std::string&)>;

  /// `write` may throw, but must not have changed anything then. Without `misfit`, it gets only
  /// values of this kind.
  ValueItem(std::string name, Value::Kind kind, std::function<Value()> read,
            std::function<void(const Value&)> write, Misfit misfit = nullptr);
  ItemEntry entry() const override;
  Value capture() const override;
  void plan(const SavedItem& saved, const ParameterNames& live_names, RestorePlan& plan) override;

 private:
  Value::Kind kind_;
  std::function<Value()> read_;
  std::function<void(const Value&)> write_;
  Misfit misfit_;
};

/// Makes the item for a number that a Value can hold. `write` gets only values that fit the type.
std::unique_ptr<Item> make_number_item(std::string name, internal::NumberType type,
                                       std::function<Value()> read,
                                       std::function<void(const Value&)> write);
/// Makes the item for an unsigned 64-bit integer. A number above 2^63 - 1 is saved as decimal text.
std::unique_ptr<Item> make_unsigned_item(std::string name, std::function<uint64_t()> read,
                                         std::function<void(uint64_t)> write);
/// Makes the item for a long double. A number that a double cannot hold is saved as hexadecimal
/// text ("1.8p+1").
std::unique_ptr<Item> make_long_double_item(std::string name, long double& number);

/// A user's tensor, by reference. A tensor that is undefined at the restore becomes a new one.
class TensorItem final : public Item {
 public:
  TensorItem(std::string name, at::Tensor& tensor);
  ItemEntry entry() const override;
  Value capture() const override;
  void plan(const SavedItem& saved, const ParameterNames& live_names, RestorePlan& plan) override;

 private:
  at::Tensor& tensor_;
};

/// A user's tree, by reference. It is replaced whole.
class TreeItem final : public Item {
 public:
  TreeItem(std::string name, Value& value);
  ItemEntry entry() const override;
  Value capture() const override;
  void plan(const SavedItem& saved, const ParameterNames& live_names, RestorePlan& plan) override;

 private:
  Value& value_;
};

}  // namespace checkpoint::state
