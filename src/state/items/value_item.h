#pragma once

#include "state/plan/item.h"

#include <checkpoint/state.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace checkpoint::state {

/// A number or text of the user's, by reference.
class ValueItem final : public Item {
 public:
  /// Why a saved value cannot be written; "" if it can. The text is the item's type in the
  /// manifest.
  using Misfit = std::function<std::string(const Value&, const std::string&)>;

  /// `write` may throw: then it has changed nothing. Without `misfit` it is given values of this
  /// kind.
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

/// A number that a Value holds: what `write` is given fits the type.
std::unique_ptr<Item> make_number_item(std::string name, internal::NumberType type,
                                       std::function<Value()> read,
                                       std::function<void(const Value&)> write);
/// Unsigned integers of 64 bits: those above 2^63 - 1 stand in the file as decimal text.
std::unique_ptr<Item> make_unsigned_item(std::string name, std::function<uint64_t()> read,
                                         std::function<void(uint64_t)> write);
/// A long double: one that is not a double is saved as hexadecimal text ("1.8p+1").
std::unique_ptr<Item> make_long_double_item(std::string name, long double& number);

/// A tensor of the user's, by reference. One that is undefined when restored becomes a new tensor.
class TensorItem final : public Item {
 public:
  TensorItem(std::string name, at::Tensor& tensor);
  ItemEntry entry() const override;
  Value capture() const override;
  void plan(const SavedItem& saved, const ParameterNames& live_names, RestorePlan& plan) override;

 private:
  at::Tensor& tensor_;
};

/// A tree of the user's, by reference: replaced whole.
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
