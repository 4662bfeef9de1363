#include "state/items/value_item.h"

#include "format/tree/map_tensors.h"
#include "state/items/numbers.h"
#include "state/plan/restore_plan.h"

#include <checkpoint/error.h>
#include <checkpoint/state_data.h>

#include <memory>
#include <utility>

namespace checkpoint::state {
namespace {

using internal::NumberType;

ValueItem::Misfit misfit_of(NumberType type) {
  return [type](const Value& saved, const std::string& saved_type) {
    return misfit(saved, saved_type, type);
  };
}

ValueItem::Misfit misfit_or_text_of(NumberType type) {
  return [type](const Value& saved, const std::string& saved_type) {
    return misfit_or_text(saved, saved_type, type);
  };
}

}  // namespace

std::unique_ptr<Item> make_number_item(std::string name, NumberType type,
                                       std::function<Value()> read,
                                       std::function<void(const Value&)> write) {
  const Value::Kind kind = type.is_real ? Value::Kind::kDouble : Value::Kind::kInt;
  return std::make_unique<ValueItem>(std::move(name), kind, std::move(read), std::move(write),
                                     misfit_of(type));
}

std::unique_ptr<Item> make_unsigned_item(std::string name, std::function<uint64_t()> read,
                                         std::function<void(uint64_t)> write) {
  auto to_value = [read = std::move(read)] { return internal::unsigned_value(read()); };
  auto from_value = [write = std::move(write)](const Value& value) {
    uint64_t number = 0;
    if (value.kind() == Value::Kind::kString) {
      parse_unsigned(value.to_string(), number);
    } else {
      number = static_cast<uint64_t>(value.to_int());
    }
    write(number);
  };
  return std::make_unique<ValueItem>(std::move(name), Value::Kind::kInt, std::move(to_value),
                                     std::move(from_value),
                                     misfit_or_text_of(internal::number_type<uint64_t>()));
}

std::unique_ptr<Item> make_long_double_item(std::string name, long double& number) {
  auto to_value = [&number] { return internal::long_double_value(number); };
  auto from_value = [&number](const Value& value) {
    if (value.kind() == Value::Kind::kString) {
      parse_long_double(value.to_string(), number);
    } else if (value.kind() == Value::Kind::kInt) {
      number = static_cast<long double>(value.to_int());
    } else {
      number = static_cast<long double>(value.to_double());
    }
  };
  return std::make_unique<ValueItem>(std::move(name), Value::Kind::kDouble, std::move(to_value),
                                     std::move(from_value),
                                     misfit_or_text_of(internal::number_type<long double>()));
}

ValueItem::ValueItem(std::string name, Value::Kind kind, std::function<Value()> read,
                     std::function<void(const Value&)> write, Misfit misfit)
    : Item(std::move(name)),
      kind_(kind),
      read_(std::move(read)),
      write_(std::move(write)),
      misfit_(std::move(misfit)) {
  if (misfit_) return;
  misfit_ = [kind](const Value& saved, const std::string&) {
    if (saved.kind() == kind) return std::string();
    return std::string("a ") + to_string(kind) + " here, and a " + kind_text(saved) + " saved";
  };
}

ItemEntry ValueItem::entry() const { return {name(), "value", to_string(kind_), {}}; }

Value ValueItem::capture() const { return read_(); }

void ValueItem::plan(const SavedItem& saved, const ParameterNames&, RestorePlan& plan) {
  const std::string why = misfit_(saved.value, saved.entry.type);
  if (!why.empty()) {
    plan.mismatched(name(), why);
    return;
  }
  plan.add_step([this, value = saved.value] { write_(value); },
                [this, before = read_()] { write_(before); });
}

TensorItem::TensorItem(std::string name, at::Tensor& tensor)
    : Item(std::move(name)), tensor_(tensor) {}

ItemEntry TensorItem::entry() const { return {name(), "value", "tensor", {}}; }

Value TensorItem::capture() const { return tensor_.defined() ? Value(tensor_) : Value(); }

void TensorItem::plan(const SavedItem& saved, const ParameterNames&, RestorePlan& plan) {
  if (saved.value.is_none()) {
    plan.add_final([this] { tensor_ = at::Tensor(); });
  } else if (!saved.value.is_tensor()) {
    plan.wrong_kind(name(), "a tensor", saved.value);
  } else if (tensor_.defined()) {
    plan.restore_in_place(tensor_, saved.value.to_tensor(), name());
  } else {
    const at::Tensor fresh = plan.restore_new(saved.value.to_tensor(), name(), c10::kCPU);
    plan.add_final([this, fresh] { tensor_ = fresh; });
  }
}

TreeItem::TreeItem(std::string name, Value& value) : Item(std::move(name)), value_(value) {}

ItemEntry TreeItem::entry() const { return {name(), "value", "value", {}}; }

Value TreeItem::capture() const { return value_; }

void TreeItem::plan(const SavedItem& saved, const ParameterNames&, RestorePlan& plan) {
  // Puts new memory in place of each placeholder. It is filled when the plan runs.
  const auto place = [&plan](const at::Tensor& placeholder, const format::TensorPlace& place) {
    return plan.restore_new(plan.own_part(placeholder, place), place.key(),
                            format::device_of(place, c10::kCPU));
  };
  auto fresh = std::make_shared<Value>(format::map_tensors(saved.value, name(), &value_, place));
  plan.add_final([this, fresh] { value_ = std::move(*fresh); });
}

}  // namespace checkpoint::state
