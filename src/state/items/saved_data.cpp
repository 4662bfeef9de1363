#include <checkpoint/state_data.h>

#include "format/tree/path.h"
#include "state/items/numbers.h"

#include <array>
#include <charconv>
#include <limits>
#include <string>

namespace checkpoint::internal {
namespace {

// A container may hold millions of values: the first few misfits say what is wrong.
constexpr size_t kMostMisfits = 10;

std::string a_kind(Value::Kind kind) { return std::string("a ") + to_string(kind); }

}  // namespace

std::string SavedData::text() const {
  if (above_ == nullptr) return *item_;
  return format::dotted(above_->text(),
                        key_ != nullptr ? to_string(*key_) : std::to_string(index_));
}

void SavedData::refuse(const std::string& why) const {
  if (misfits_.size() < kMostMisfits) misfits_.push_back({text(), why});
}

void SavedData::refuse_kind(const char* here) const {
  refuse(std::string("a ") + here + " here, and " + a_kind(kind()) + " saved");
}

bool SavedData::is(Value::Kind wanted) const {
  if (kind() == wanted) return true;
  refuse_kind(to_string(wanted));
  return false;
}

const std::vector<Value>* SavedData::elements(const char* here) const {
  if (kind() == Value::Kind::kList) return &value_.list();
  if (kind() == Value::Kind::kTuple) return &value_.tuple();
  refuse_kind(here);
  return nullptr;
}

const std::vector<Value>* SavedData::elements(const char* here, size_t size) const {
  const std::vector<Value>* const items = elements(here);
  if (items == nullptr || items->size() == size) return items;
  refuse(std::string("a ") + here + " of " + std::to_string(size) + " here, and a " +
         to_string(kind()) + " of " + std::to_string(items->size()) + " saved");
  return nullptr;
}

bool SavedData::read(int64_t& into, int64_t least, int64_t most) const {
  if (!is(Value::Kind::kInt)) return false;
  into = value_.to_int();
  if (least <= into && into <= most) return true;
  refuse("an int from " + std::to_string(least) + " to " + std::to_string(most) +
         " here, and the int " + std::to_string(into) + " saved");
  return false;
}

bool SavedData::read(uint64_t& into) const {
  if (kind() == Value::Kind::kString && state::parse_unsigned(value_.to_string(), into)) {
    return true;
  }
  int64_t number = 0;
  if (!read(number, 0, std::numeric_limits<int64_t>::max())) return false;
  into = static_cast<uint64_t>(number);
  return true;
}

bool SavedData::read(double& into) const {
  if (kind() == Value::Kind::kInt) {
    const int64_t number = value_.to_int();
    into = static_cast<double>(number);
    // A double of 2^63 or more cannot be converted to int64_t for the comparison.
    if (into < 9223372036854775808.0 && static_cast<int64_t>(into) == number) return true;
    refuse("a double here, and the int " + std::to_string(number) +
           " saved, which a double cannot hold exactly");
    return false;
  }
  if (!is(Value::Kind::kDouble)) return false;
  into = value_.to_double();
  return true;
}

bool SavedData::read(long double& into) const {
  if (kind() == Value::Kind::kString && state::parse_long_double(value_.to_string(), into)) {
    return true;
  }
  if (kind() == Value::Kind::kInt) {
    into = static_cast<long double>(value_.to_int());
    return true;
  }
  if (!is(Value::Kind::kDouble)) return false;
  into = value_.to_double();
  return true;
}

Value unsigned_value(uint64_t number) {
  const bool is_int = number <= uint64_t{std::numeric_limits<int64_t>::max()};
  return is_int ? Value(number) : Value(std::to_string(number));
}

Value long_double_value(long double number) {
  const auto narrow = static_cast<double>(number);
  // A NaN, which is not equal to itself, becomes a double's NaN.
  if (static_cast<long double>(narrow) == number || number != number) return narrow;
  std::array<char, 64> text;
  const auto end =
      std::to_chars(text.data(), text.data() + text.size(), number, std::chars_format::hex);
  return std::string(text.data(), end.ptr);
}

}  // namespace checkpoint::internal
