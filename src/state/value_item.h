#pragma once

#include "state/item.h"

#include <functional>
#include <string>

namespace checkpoint::state {

/// A number or text of the user's, by reference.
class ValueItem final : public Item {
 public:
  ValueItem(std::string name, Value::Kind kind, std::function<Value()> read,
            std::function<void(const Value&)> write);
  ItemEntry describe() const override;
  Value capture() const override;
  void plan(const SavedItem& saved, const ParameterNames& live_names, RestorePlan& plan) override;

 private:
  Value::Kind kind_;
  std::function<Value()> read_;
  std::function<void(const Value&)> write_;
};

/// A tensor of the user's, by reference. One that is undefined when restored becomes a new tensor.
class TensorItem final : public Item {
 public:
  TensorItem(std::string name, at::Tensor& tensor);
  ItemEntry describe() const override;
  Value capture() const override;
  void plan(const SavedItem& saved, const ParameterNames& live_names, RestorePlan& plan) override;

 private:
  at::Tensor& tensor_;
};

/// A tree of the user's, by reference: replaced whole.
class TreeItem final : public Item {
 public:
  TreeItem(std::string name, Value& value);
  ItemEntry describe() const override;
  Value capture() const override;
  void plan(const SavedItem& saved, const ParameterNames& live_names, RestorePlan& plan) override;

 private:
  Value& value_;
};

}  // namespace checkpoint::state
