#include "support/catch.h"

#include "base/glob.h"
#include "base/near_names.h"

using namespace checkpoint;

namespace {

bool matches(const std::string& glob, const std::string& text) {
  return base::Glob(glob).matches(text);
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("Globs mean what they mean elsewhere") {
  CHECK(matches("*", ""));
  CHECK(matches("model.*", "model.encoder.0.weight"));
  CHECK(matches("*.weight", "model.encoder.0.weight"));
  CHECK(matches("model.*.?.weight", "model.encoder.0.weight"));
  CHECK(matches("a*b*c", "aXbYbZc"));
  CHECK_FALSE(matches("model", "model.x"));
  CHECK_FALSE(matches("?", ""));
  CHECK_FALSE(matches("a*b", "ac"));
  // No blow-up.
  CHECK_FALSE(matches("*a*a*a*a*a*a*a*b", std::string(5000, 'a')));

  SECTION("classes") {
    CHECK(matches("layer.[0-3].*", "layer.2.weight"));
    CHECK_FALSE(matches("layer.[0-3].*", "layer.4.weight"));
    CHECK(matches("[ab]", "b"));
    CHECK(matches("[!ab]", "c"));
    CHECK(matches("[^ab]", "c"));
    CHECK_FALSE(matches("[!ab]", "a"));
    CHECK_FALSE(matches("[!ab]", ""));
    CHECK(matches("[a-cx-z]", "y"));
    CHECK(matches("[]a]", "]"));
    CHECK(matches("[!]a]", "b"));
    CHECK(matches("[a-]", "-"));
    CHECK(matches("[-a]", "-"));
    CHECK_FALSE(matches("[z-a]", "m"));
    CHECK(matches("[[:digit:]x]", "7"));
    CHECK(matches("[[:digit:]x]", "x"));
    CHECK_FALSE(matches("[[:digit:]]", "x"));
    CHECK(matches("*[[:upper:]]*", "a.B.c"));
    CHECK(matches("[\\]]", "]"));
    CHECK(matches("[a\\-c]", "-"));
    CHECK_FALSE(matches("[a\\-c]", "b"));
    // Stars inside are themselves.
    CHECK(matches("[*]", "*"));
    CHECK_FALSE(matches("[*]", "a"));
  }
  SECTION("an unclosed class means itself") {
    CHECK(matches("[", "["));
    CHECK(matches("a[bc", "a[bc"));
    CHECK(matches("[!", "[!"));
    CHECK(matches("[]", "[]"));
    CHECK(matches("[[:digit", "[[:digit"));
  }
  SECTION("escapes") {
    CHECK(matches("a\\*", "a*"));
    CHECK_FALSE(matches("a\\*", "ab"));
    CHECK(matches("layers\\[0].*", "layers[0].weight"));
    CHECK(matches("\\?\\\\", "?\\"));
    CHECK(matches("a\\", "a\\"));
  }
  SECTION("characters, not bytes") {
    CHECK(matches("schl?ssel", "schlüssel"));
    CHECK(matches("[ä-ü]", "ö"));
    CHECK_FALSE(matches("?", "üü"));
    CHECK(matches("?", "\xff"));
    CHECK_FALSE(matches("\xc3", "ü"));
    CHECK(matches("*\xc3", "a\xc3"));
  }
}

TEST_CASE("Names near to a glob are found, whatever its stars match") {
  const Names keys = {"model.conv.weight", "model.conv.bias", "model.head.weight", "optimizer"};
  CHECK(base::near_names(base::Glob("modle.head.*"), keys) == Names{"model.head.weight"});
  CHECK(base::near_names(base::Glob("optimizer.*"), keys) == Names{"optimizer"});
  CHECK(base::near_names(base::Glob::of_prefix("model.cnv."), keys) ==
        Names{"model.conv.weight", "model.conv.bias"});
  CHECK(base::near_names(base::Glob("nothing.like.it"), keys).empty());
  CHECK(base::instead_of(base::Glob("nothing.like.it"), {"a", "b", "c"}) ==
        "; there are 'a', 'b' and 'c'");
  CHECK(base::instead_of("modle", {"model", "optimizer"}) == "; the nearest is 'model'");
  CHECK(base::instead_of("modle", {}) == "; there are none");
}

TEST_CASE("No near name is given twice") {
  CHECK(base::nearest_names({"fc1.weight", "fc2.weight", "fc3.weight"}, {"fc2_.weight"}) ==
        Names{"", "fc2_.weight", ""});
  // Each its own, though all of them share an end.
  CHECK(base::nearest_names({"encoder.0.weight", "decoder.0.weight"},
                            {"module.decoder.0.weight", "module.encoder.0.weight"}) ==
        Names{"module.encoder.0.weight", "module.decoder.0.weight"});
}
