#include "state/items/numbers.h"

#include "format/tree/scalar_text.h"

#include <charconv>
#include <cmath>

namespace checkpoint::state {
namespace {

using internal::NumberType;

bool is_number(Value::Kind kind) {
  return kind == Value::Kind::kInt || kind == Value::Kind::kDouble;
}

// Describes what was saved, its type first: "the int 300", "a tensor".
std::string what_was_saved(const Value& saved, const std::string& saved_type) {
  // make_unsigned_item and make_long_double_item write numbers beyond int64 and double as text.
  const bool is_text = saved.kind() == Value::Kind::kString;
  if (is_text && saved_type == "int") return "the uint64 " + saved.to_string();
  if (is_text && saved_type == "double") return "the long double " + saved.to_string();
  const std::string text = format::scalar_text(saved);
  const std::string kind = kind_text(saved);
  return text.empty() ? "a " + kind : "the " + kind + ' ' + text;
}

bool holds(const NumberType& type, int64_t number) {
  if (type.is_real) {
    // Every int64_t is a long double.
    const auto exact = static_cast<long double>(number);
    if (type.bits == 32) return static_cast<long double>(static_cast<float>(number)) == exact;
    return type.bits > 64 || static_cast<long double>(static_cast<double>(number)) == exact;
  }
  if (!type.is_signed) {
    return number >= 0 && (type.bits == 64 || number < int64_t{1} << type.bits);
  }
  if (type.bits == 64) return true;
  const int64_t end = int64_t{1} << (type.bits - 1);
  return number >= -end && number < end;
}

bool holds(const NumberType& type, double number) {
  if (!type.is_real) return false;
  if (type.bits > 32 || number == 0 || !std::isfinite(number)) return true;
  const auto narrow = static_cast<float>(number);
  return narrow != 0 && std::isfinite(narrow);
}

template <typename T, typename Format>
bool parse(const std::string& text, T& number, Format format) {
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number, format);
  return stop == end && error == std::errc();
}

}  // namespace

std::string misfit(const Value& saved, const std::string& saved_type, const NumberType& wanted) {
  const bool fits = saved.kind() == Value::Kind::kInt
                        ? holds(wanted, saved.to_int())
                        : saved.kind() == Value::Kind::kDouble && holds(wanted, saved.to_double());
  if (fits) return {};
  const std::string why = is_number(saved.kind()) ? ", which it cannot hold" : "";
  return std::string(wanted.name) + " here, and " + what_was_saved(saved, saved_type) + " saved" +
         why;
}

std::string misfit_or_text(const Value& saved, const std::string& saved_type,
                           const NumberType& wanted) {
  if (saved.kind() == Value::Kind::kString) {
    uint64_t integer = 0;
    long double real = 0;
    const bool fits = wanted.is_real ? parse_long_double(saved.to_string(), real)
                                     : parse_unsigned(saved.to_string(), integer);
    if (fits) return {};
  }
  return misfit(saved, saved_type, wanted);
}

bool parse_unsigned(const std::string& text, uint64_t& number) {
  return parse(text, number, /*base=*/10);
}

bool parse_long_double(const std::string& text, long double& number) {
  return parse(text, number, std::chars_format::hex);
}

}  // namespace checkpoint::state
