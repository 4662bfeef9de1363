#include "format/tree/scalar_text.h"

#include "base/in_quotes.h"

#include <array>
#include <charconv>

namespace checkpoint::format {

std::string scalar_text(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kBool:
      return value.to_bool() ? "true" : "false";
    case Value::Kind::kInt:
      return std::to_string(value.to_int());
    case Value::Kind::kDouble: {
      std::array<char, 32> text;  // The shortest text that reads back as the same number.
      const auto end = std::to_chars(text.data(), text.data() + text.size(), value.to_double());
      return std::string(text.data(), end.ptr);
    }
    case Value::Kind::kString:
      return base::in_quotes(value.to_string());
    default:
      return {};
  }
}

}  // namespace checkpoint::format
