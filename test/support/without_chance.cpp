#include "support/without_chance.h"

#include "base/clock.h"

#include <algorithm>
#include <map>

namespace test {
namespace {

// How long what stands at `begin` is: a number of seconds, with a fraction that a clock has
// measured. 0 if it is not one.
size_t measured_at(const std::string& text, size_t begin) {
  constexpr char kDigits[] = "0123456789";
  constexpr size_t kShortest = 5;  // Of the fraction. The scenarios write no more than one digit.
  const size_t point = text.find_first_not_of(kDigits, begin);
  if (point == begin || point == std::string::npos || text[point] != '.') return 0;
  size_t end = std::min(text.find_first_not_of(kDigits, point + 1), text.size());
  if (text.compare(end, 2, "e-") == 0) {
    end = std::min(text.find_first_not_of(kDigits, end + 2), text.size());
  }
  return end - point > kShortest ? end - begin : 0;
}

}  // namespace

std::string without_chance(const std::string& text) {
  constexpr size_t kShortestId = 16;
  constexpr char kHex[] = "0123456789abcdef";
  constexpr char kTime[] = "2026-11-23T15:02:11Z";
  std::map<std::string, size_t> ids;
  std::string result;
  for (size_t i = 0; i < text.size();) {
    const size_t hex = std::min(text.find_first_not_of(kHex, i), text.size()) - i;
    if (hex >= kShortestId) {
      const auto id = ids.emplace(text.substr(i, hex), ids.size()).first;
      result += "id " + std::to_string(id->second);
      i += hex;
    } else if (hex == 4 && checkpoint::base::parse_utc(text.substr(i, sizeof kTime - 1))) {
      result += "time";
      i += sizeof kTime - 1;
    } else if (const size_t measured = measured_at(text, i)) {
      result += "seconds";
      i += measured;
    } else {
      result.append(text, i, hex + 1);
      i += hex + 1;
    }
  }
  return result;
}

}  // namespace test
