#include "state/value_item.h"

#include "format/map_tensors.h"
#include "state/restore_plan.h"

#include <memory>
#include <utility>

namespace checkpoint::state {
namespace {

bool can_become(Value::Kind saved, Value::Kind wanted) {
  return saved == wanted || (saved == Value::Kind::kInt && wanted == Value::Kind::kDouble);
}

}  // namespace

ValueItem::ValueItem(std::string name, Value::Kind kind, std::function<Value()> read,
                     std::function<void(const Value&)> write)
    : Item(std::move(name)), kind_(kind), read_(std::move(read)), write_(std::move(write)) {}

ItemEntry ValueItem::describe() const { return {name(), "value", to_string(kind_), {}}; }

Value ValueItem::capture() const { return read_(); }

void ValueItem::plan(const SavedItem& saved, const ParameterNames&, RestorePlan& plan) {
  if (!can_become(saved.value.kind(), kind_)) {
    plan.mismatched(name(), std::string("a ") + to_string(kind_) + " here, and a " +
                                to_string(saved.value.kind()) + " in the file");
    return;
  }
  // The write may still refuse a number that is too large for its type; then it is undone.
  plan.try_first([this, value = saved.value] { write_(value); },
                 [this, before = read_()] { write_(before); });
}

TensorItem::TensorItem(std::string name, at::Tensor& tensor)
    : Item(std::move(name)), tensor_(tensor) {}

ItemEntry TensorItem::describe() const { return {name(), "value", "tensor", {}}; }

Value TensorItem::capture() const { return tensor_.defined() ? Value(tensor_) : Value(); }

void TensorItem::plan(const SavedItem& saved, const ParameterNames&, RestorePlan& plan) {
  if (saved.value.is_none()) {
    plan.finally([this] { tensor_ = at::Tensor(); });
  } else if (!saved.value.is_tensor()) {
    plan.mismatched(name(), std::string("a tensor here, and a ") + to_string(saved.value.kind()) +
                                " in the file");
  } else if (tensor_.defined()) {
    plan.restore_in_place(tensor_, saved.value.to_tensor(), name());
  } else {
    const at::Tensor fresh = plan.restore_new(saved.value.to_tensor(), c10::kCPU);
    plan.finally([this, fresh] { tensor_ = fresh; });
  }
}

TreeItem::TreeItem(std::string name, Value& value) : Item(std::move(name)), value_(value) {}

ItemEntry TreeItem::describe() const { return {name(), "value", "value", {}}; }

Value TreeItem::capture() const { return value_; }

void TreeItem::plan(const SavedItem& saved, const ParameterNames&, RestorePlan& plan) {
  // New memory in place of each placeholder, filled when the plan is run.
  auto fresh = std::make_shared<Value>(format::map_tensors(
      saved.value,
      [&plan](const at::Tensor& placeholder) { return plan.restore_new(placeholder, c10::kCPU); }));
  plan.finally([this, fresh] { value_ = std::move(*fresh); });
}

}  // namespace checkpoint::state
