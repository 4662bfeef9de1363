#include "support/catch.h"
#include "support/error_of.h"

#include "base/json.h"

#include <checkpoint/error.h>

#include <cmath>
#include <limits>

using namespace checkpoint;

TEST_CASE("JSON nested a million deep is refused, and overflows no stack") {
  CHECK_THROWS_AS(base::parse_json(std::string(1000000, '['), "p"), Error);
  CHECK_THROWS_AS(base::parse_json("{\"a\":" + std::string(1000000, '['), "p"), Error);
}

TEST_CASE("Text that is not JSON, or not an object, is refused as corrupt") {
  const std::string text = GENERATE("", "{", "[]", "1", "{\"a\":1}x", "{\"a\":\"\xff\"}");
  try {
    base::parse_json(text, "the path");
    FAIL("accepted: " + text);
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kCorrupt);
    CHECK(error.path() == "the path");
  }
}

TEST_CASE(
    "A JSON text is one document, without comments, and without anything before or after it") {
  using namespace std::string_literals;
  const auto [text, reason] = GENERATE(table<std::string, std::string>({
      {"\xEF\xBB\xBF{}", "at byte 1: 'a byte-order mark"},
      {"\xEF\xBB{}", "at byte 3"},
      {" \xEF\xBB\xBF{}", "at byte 2"},
      {"\0{}"s, "at byte 1: 'a NUL byte"},
      {"{}\0"s, "at byte 3: 'a NUL byte"},
      {"{}\0{\"hidden\":1}"s, "at byte 3: 'a NUL byte"},
      {"{} \0x"s, "at byte 4: 'a NUL byte"},
      {"{\"a\":1\0}"s, "at byte 7: 'a NUL byte"},
      {"{\"a\0\":1}"s, "at byte 4: 'a NUL byte"},
      {"{}{}", "at byte 3"},
      {"{},", "at byte 3"},
      {"{}\xEF\xBB\xBF", "at byte 3"},
      {"{}//", "at byte 3"},
      {"/**/{}", "at byte 1"},
      {"{/**/}", "at byte 2"},
      {"{\"a\":1,}", "at byte 8"},
      {"{}\f", "at byte 3"},
  }));
  const std::string error = error_of([&, &text = text] { base::parse_json(text, "the path"); });
  INFO(error);
  CHECK(contains(error, "corrupt: the JSON cannot be read, "));
  CHECK(contains(error, reason));
  CHECK(contains(error, "(the path)"));
}

TEST_CASE("A JSON text may have blanks around it, and a NUL in it as an escape") {
  const nlohmann::json object = base::parse_json(" \t\r\n{\"a\":\"\\u0000\"} \t\r\n", "p");
  CHECK(object.at("a") == std::string(1, '\0'));
}

TEST_CASE("Fields of the wrong type are refused by name") {
  const std::string path = "p";
  const nlohmann::json object = base::parse_json(
      R"({"text": "x", "big": 18446744073709551615, "minus": -1, "half": 0.5})", path);
  const base::JsonFields fields(object, path);
  CHECK(fields.string("text") == "x");
  CHECK(fields.integer("minus") == -1);
  CHECK(fields.number("half") == 0.5);
  CHECK_THROWS_AS(fields.integer("big"), Error);
  CHECK_THROWS_AS(fields.size("minus"), Error);
  CHECK_THROWS_AS(fields.integer("half"), Error);
  CHECK_THROWS_AS(fields.number("text"), Error);
  CHECK_THROWS_AS(fields.array("text"), Error);
  CHECK(contains(error_of([&] { fields.string("none"); }), "'none'"));
}

TEST_CASE("Numbers that JSON does not know survive") {
  const std::string path = "p";
  for (const double value : {0.1, -0.0, 1e300, std::numeric_limits<double>::infinity(),
                             -std::numeric_limits<double>::infinity()}) {
    const nlohmann::json object =
        base::parse_json(base::dump_json({{"x", base::json_number(value)}}, -1), path);
    CHECK(base::JsonFields(object, path).number("x") == value);
  }
  const nlohmann::json object =
      base::parse_json(base::dump_json({{"x", base::json_number(std::nan(""))}}, -1), path);
  CHECK(std::isnan(base::JsonFields(object, path).number("x")));
}
