// Values for diff: their text, and whether two of them are equal. Both functions cover all kinds of
// values. Text is kept short: of long bytes and integers it shows only a part. Equality is exact:
// NaN equals NaN, but -0.0 does not equal 0.0, and an int never equals a double.

#include "value_text.h"

#include "base/shape_text.h"

#include <spdlog/fmt/fmt.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>

namespace checkpoint::cli {
namespace {

std::string double_text(double value) {
  const std::string text = fmt::format("{}", value);
  // Adds ".0", because an int of the same number is a different value.
  const bool looks_like_int = text.find_first_not_of("-0123456789") == std::string::npos;
  return looks_like_int ? text + ".0" : text;
}

std::string hex(const std::string& bytes) {
  std::string text;
  for (const char c : bytes) text += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return text;
}

std::string bytes_text(const std::string& bytes) {
  constexpr size_t kShown = 16;
  return fmt::format("{} bytes 0x{}{}", bytes.size(), hex(bytes.substr(0, kShown)),
                     bytes.size() > kShown ? "..." : "");
}

// Shows two's complement bytes, lowest byte first, as a sign and a hexadecimal number.
std::string big_int_text(std::string bytes) {
  const bool negative = !bytes.empty() && (static_cast<unsigned char>(bytes.back()) & 0x80) != 0;
  if (negative) {
    unsigned carry = 1;
    for (char& c : bytes) {
      carry += static_cast<unsigned char>(~c);
      c = static_cast<char>(carry & 0xff);
      carry >>= 8;
    }
  }
  while (bytes.size() > 1 && bytes.back() == 0) bytes.pop_back();
  std::reverse(bytes.begin(), bytes.end());
  std::string digits = hex(bytes);
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size() - 1));
  constexpr size_t kShown = 32;
  if (digits.size() > 2 * kShown) {
    digits = fmt::format("{}...{} ({} digits)", digits.substr(0, kShown),
                         digits.substr(digits.size() - kShown), digits.size());
  }
  return (negative ? "-0x" : "0x") + digits;
}

bool same_number(double left, double right) {
  if (std::isnan(left) || std::isnan(right)) return std::isnan(left) && std::isnan(right);
  return left == right && std::signbit(left) == std::signbit(right);
}

bool same_parts(const std::vector<Value>& left, const std::vector<Value>& right);

bool same_entries(const Dict& left, const Dict& right) {
  return left.size() == right.size() &&
         std::all_of(left.begin(), left.end(), [&](const auto& entry) {
           const Value* const other = right.find(entry.first);
           return other != nullptr && same_parts({entry.second}, {*other});
         });
}

bool same_part(const Value& left, const Value& right) {
  if (left.kind() != right.kind()) return false;
  switch (left.kind()) {
    case Value::Kind::kTensor:
      return left.to_tensor().scalar_type() == right.to_tensor().scalar_type() &&
             left.to_tensor().sizes() == right.to_tensor().sizes() &&
             left.to_tensor().equal(right.to_tensor());
    case Value::Kind::kList:
      return same_parts(left.list(), right.list());
    case Value::Kind::kTuple:
      return same_parts(left.tuple(), right.tuple());
    case Value::Kind::kDict:
      return same_entries(left.dict(), right.dict());
    default:
      return same_value(left, right);
  }
}

// Compares the parts of an opaque value, which flatten() does not take apart.
bool same_parts(const std::vector<Value>& left, const std::vector<Value>& right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(), same_part);
}

}  // namespace

std::string text_of(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kNone:
      return "none";
    case Value::Kind::kBool:
      return value.to_bool() ? "true" : "false";
    case Value::Kind::kInt:
      return std::to_string(value.to_int());
    case Value::Kind::kDouble:
      return double_text(value.to_double());
    case Value::Kind::kComplex:
      return fmt::format("({}, {}i)", double_text(value.to_complex().real()),
                         double_text(value.to_complex().imag()));
    case Value::Kind::kString:
      return '"' + value.to_string() + '"';
    case Value::Kind::kTensor:
      return std::string(c10::toString(value.to_tensor().scalar_type())) + ' ' +
             base::shape_text(value.to_tensor().sizes());
    case Value::Kind::kSize:
      return "size " + base::shape_text(value.to_size());
    case Value::Kind::kDtype:
      return std::string("dtype ") + c10::toString(value.to_dtype());
    case Value::Kind::kDevice:
      return "device " + value.to_device().str();
    case Value::Kind::kBytes:
      return bytes_text(value.to_bytes());
    case Value::Kind::kBigInt:
      return big_int_text(value.to_big_int().bytes);
    case Value::Kind::kOpaque:
      return kind_text(value);
    case Value::Kind::kList:
    case Value::Kind::kTuple:
    case Value::Kind::kDict:
      return std::string("empty ") + to_string(value.kind());
  }
  return to_string(value.kind());
}

bool same_value(const Value& left, const Value& right) {
  if (left.kind() != right.kind()) return false;
  switch (left.kind()) {
    case Value::Kind::kBool:
      return left.to_bool() == right.to_bool();
    case Value::Kind::kInt:
      return left.to_int() == right.to_int();
    case Value::Kind::kDouble:
      return same_number(left.to_double(), right.to_double());
    case Value::Kind::kComplex:
      return same_number(left.to_complex().real(), right.to_complex().real()) &&
             same_number(left.to_complex().imag(), right.to_complex().imag());
    case Value::Kind::kString:
      return left.to_string() == right.to_string();
    case Value::Kind::kSize:
      return left.to_size() == right.to_size();
    case Value::Kind::kDtype:
      return left.to_dtype() == right.to_dtype();
    case Value::Kind::kDevice:
      return left.to_device() == right.to_device();
    case Value::Kind::kBytes:
      return left.to_bytes() == right.to_bytes();
    case Value::Kind::kBigInt:
      return left.to_big_int().bytes == right.to_big_int().bytes;
    case Value::Kind::kNone:
    case Value::Kind::kList:  // Always empty here, so equal kinds are equal values.
    case Value::Kind::kTuple:
    case Value::Kind::kDict:
      return true;
    case Value::Kind::kOpaque:
      return left.opaque().class_name == right.opaque().class_name &&
             same_parts(left.opaque().parts, right.opaque().parts);
    case Value::Kind::kTensor:
      return false;
  }
  return false;
}

}  // namespace checkpoint::cli
