#include "state/items/value_item.h"

#include "format/tree/map_tensors.h"
#include "state/plan/restore_plan.h"

#include <checkpoint/error.h>

#include <array>
#include <charconv>
#include <limits>
#include <memory>
#include <utility>

namespace checkpoint::state {
namespace {

bool can_become(Value::Kind saved, Value::Kind wanted) {
  return saved == wanted || (saved == Value::Kind::kInt && wanted == Value::Kind::kDouble);
}

// The number that the whole of a text is. `format` as std::from_chars takes it.
template <typename T, typename Format>
T parse(const std::string& name, const std::string& text, Format format) {
  T number{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number, format);
  check_range(name, stop == end && error == std::errc());
  return number;
}

}  // namespace

void check_range(const std::string& name, bool fits) {
  if (fits) return;
  throw Error(ErrorCode::kIncompatible,
              "the value of '" + name + "' does not fit its type: it would not come back equal");
}

std::unique_ptr<Item> make_unsigned_item(std::string name, std::function<uint64_t()> read,
                                         std::function<void(uint64_t)> write) {
  auto to_value = [read = std::move(read)] {
    const uint64_t number = read();
    const bool is_int = number <= uint64_t{std::numeric_limits<int64_t>::max()};
    return is_int ? Value(number) : Value(std::to_string(number));
  };
  auto from_value = [name, write = std::move(write)](const Value& value) {
    if (value.kind() == Value::Kind::kString) {
      write(parse<uint64_t>(name, value.to_string(), /*base=*/10));
    } else {
      check_range(name, value.to_int() >= 0);
      write(static_cast<uint64_t>(value.to_int()));
    }
  };
  return std::make_unique<ValueItem>(std::move(name), Value::Kind::kInt, std::move(to_value),
                                     std::move(from_value), ValueItem::Else::kText);
}

std::unique_ptr<Item> make_long_double_item(std::string name, long double& number) {
  auto to_value = [&number] {
    const auto narrow = static_cast<double>(number);
    // One that is not equal to itself is not a number, and becomes that.
    if (static_cast<long double>(narrow) == number || number != number) return Value(narrow);
    std::array<char, 64> text;
    const auto end =
        std::to_chars(text.data(), text.data() + text.size(), number, std::chars_format::hex);
    return Value(std::string(text.data(), end.ptr));
  };
  auto from_value = [&number, name](const Value& value) {
    number = value.kind() == Value::Kind::kString
                 ? parse<long double>(name, value.to_string(), std::chars_format::hex)
                 : static_cast<long double>(value.to_double());
  };
  return std::make_unique<ValueItem>(std::move(name), Value::Kind::kDouble, std::move(to_value),
                                     std::move(from_value), ValueItem::Else::kText);
}

ValueItem::ValueItem(std::string name, Value::Kind kind, std::function<Value()> read,
                     std::function<void(const Value&)> write, Else otherwise)
    : Item(std::move(name)),
      kind_(kind),
      read_(std::move(read)),
      write_(std::move(write)),
      otherwise_(otherwise) {}

ItemEntry ValueItem::describe() const { return {name(), "value", to_string(kind_), {}}; }

Value ValueItem::capture() const { return read_(); }

void ValueItem::plan(const SavedItem& saved, const ParameterNames&, RestorePlan& plan) {
  const bool is_text = otherwise_ == Else::kText && saved.value.kind() == Value::Kind::kString;
  if (!is_text && !can_become(saved.value.kind(), kind_)) {
    plan.mismatched(name(), std::string("a ") + to_string(kind_) + " here, and a " +
                                kind_text(saved.value) + " in the file");
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
    plan.mismatched(name(), std::string("a tensor here, and a ") + kind_text(saved.value) +
                                " in the file");
  } else if (tensor_.defined()) {
    plan.restore_in_place(tensor_, saved.value.to_tensor(), name());
  } else {
    const at::Tensor fresh = plan.restore_new(saved.value.to_tensor(), name(), c10::kCPU);
    plan.finally([this, fresh] { tensor_ = fresh; });
  }
}

TreeItem::TreeItem(std::string name, Value& value) : Item(std::move(name)), value_(value) {}

ItemEntry TreeItem::describe() const { return {name(), "value", "value", {}}; }

Value TreeItem::capture() const { return value_; }

void TreeItem::plan(const SavedItem& saved, const ParameterNames&, RestorePlan& plan) {
  // New memory in place of each placeholder, filled when the plan is run.
  const auto place = [&plan](const at::Tensor& placeholder, const format::TensorPlace& place) {
    return plan.restore_new(placeholder, place.key(), format::device_of(place, c10::kCPU));
  };
  auto fresh = std::make_shared<Value>(format::map_tensors(saved.value, name(), &value_, place));
  plan.finally([this, fresh] { value_ = std::move(*fresh); });
}

}  // namespace checkpoint::state
