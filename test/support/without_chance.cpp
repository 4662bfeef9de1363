#include "support/without_chance.h"

#include "base/clock.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

namespace test {
namespace {

constexpr bool is_decimal(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_hex(char c) { return is_decimal(c) || (c >= 'a' && c <= 'f'); }

// Returns where the digits that begin at `begin` end. One comparison for each character, since a
// fault matrix does this for gigabytes.
template <typename IsDigit>
size_t end_of(std::string_view text, size_t begin, IsDigit is_digit) {
  const auto* const from = text.data() + std::min(begin, text.size());
  return static_cast<size_t>(std::find_if_not(from, text.data() + text.size(), is_digit) -
                             text.data());
}

// How long what is at `begin` is: a number of seconds, with a fraction that a clock has measured. 0
// if it is not one.
size_t measured_at(std::string_view text, size_t begin) {
  constexpr size_t kShortest = 5;  // Of the fraction. The scenarios write no more than one digit.
  const size_t point = end_of(text, begin, is_decimal);
  if (point == begin || point == text.size() || text[point] != '.') return 0;
  size_t end = end_of(text, point + 1, is_decimal);
  if (text.substr(end, 2) == "e-") end = end_of(text, end + 2, is_decimal);
  return end - point > kShortest ? end - begin : 0;
}

}  // namespace

std::string without_chance(const std::string& whole) {
  constexpr size_t kShortestId = 16;
  constexpr size_t kYear = 4;
  constexpr size_t kTime = std::string_view("2026-11-23T15:02:11Z").size();
  const std::string_view text = whole;
  std::unordered_map<std::string_view, size_t> ids;
  std::string result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const size_t end = end_of(text, i, is_hex);
    const size_t hex = end - i;
    if (hex >= kShortestId) {
      const auto id = ids.emplace(text.substr(i, hex), ids.size()).first;
      result += "id " + std::to_string(id->second);
      i = end;
    } else if (hex == kYear && checkpoint::base::parse_utc(whole.substr(i, kTime))) {
      result += "time";
      i += kTime;
    } else if (const size_t measured = measured_at(text, i)) {
      result += "seconds";
      i += measured;
    } else {
      const auto* const next =
          std::find_if(text.data() + std::min(end, text.size()), text.data() + text.size(), is_hex);
      result.append(text.data() + i, next);
      i = static_cast<size_t>(next - text.data());
    }
  }
  return result;
}

}  // namespace test
