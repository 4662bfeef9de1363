#include "support/catch.h"

#include "format/pickle/text_memo.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

using checkpoint::format::TextMemo;

TEST_CASE("Each text is found by itself, and never by another one") {
  std::vector<std::string> texts = {
      "",   "a",   "00",  "01",        "-1",         "+1",         " 1",         "1 ",
      "1.", "0x1", "1e3", "999999999", "1000000000", "0999999999", "4294967296", "weight"};
  texts.emplace_back("7\0", 2);
  // Before, in and after the range of those that come one by one.
  for (const int far : {5000, 300, 255, 256, 257, 1000000}) texts.push_back(std::to_string(far));
  for (int i = 0; i < 2000; ++i) {
    const std::string text = std::to_string(i);
    if (i != 300 && (i < 255 || i > 257)) texts.push_back(text);
  }
  TextMemo memo;
  for (uint32_t number = 0; number < texts.size(); ++number) {
    CAPTURE(texts[number], number);
    REQUIRE(memo.find(texts[number]) == std::nullopt);
    memo.add(std::string(texts[number]), number);
    REQUIRE(memo.find(texts[number]) == number);
  }
  for (uint32_t number = 0; number < texts.size(); ++number) {
    CAPTURE(texts[number]);
    REQUIRE(memo.find(texts[number]) == number);
  }
}
