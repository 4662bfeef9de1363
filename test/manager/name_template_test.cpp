#include "support/catch.h"
#include "support/error_of.h"

#include "manager/name_template.h"

#include <cmath>
#include <limits>

using namespace checkpoint;
using checkpoint::manager::NameTemplate;

namespace {

std::string render(const std::string& text, const Progress& progress) {
  return NameTemplate(text).render(progress);
}

const Progress kProgress{5, 1234, 0.5, {{"val/acc", 0.97126}, {"acc", 0.5}}};

}  // namespace

TEST_CASE("Names take epoch, step, loss and metrics in fmt's syntax") {
  CHECK(render("epoch{epoch:04d}-step{step:08d}", kProgress) == "epoch0005-step00001234");
  CHECK(render("{epoch}-{loss:.3f}", kProgress) == "5-0.500");
  CHECK(render("acc{acc:.2f}{{x}}", kProgress) == "acc0.50{x}");
  CHECK(render("v{val/acc:.4f}", kProgress) == "v0.9713");
  CHECK(render("{epoch:>5}", kProgress) == "____5");
}

TEST_CASE("A missing or NaN metric never fails a save") {
  CHECK(render("a{missing:.4f}", kProgress) == "anone");
  CHECK(render("a{loss:.4f}", {0, 0, std::nan("")}) == "anan");
  CHECK(render("a{loss}", {0, 0, INFINITY}) == "ainf");
}

TEST_CASE("A number that would run on for hundreds of digits stands in its shortest form") {
  const Progress unset = {7, 0, std::numeric_limits<double>::max(), {{"acc", -1e300}}};
  CHECK(render("loss{loss:.3f}-{epoch}", unset) == "loss1.7976931348623157e+308-7");
  CHECK(render("{acc:.4f}", unset) == "-1e+300");
  CHECK(render("{acc:.1e}", unset) == "-1.0e+300");
  CHECK(render("{loss:.2f}", {0, 0, 1e17}) == "100000000000000000.00");
  CHECK(render("{loss:045.1f}", {0, 0, 0.5}).size() == 45);
}

TEST_CASE("What cannot stand in a name is replaced, and reserved names are kept clear of") {
  CHECK(render("a/b c\\d\n{epoch}", kProgress) == "a_b_c_d_5");
  CHECK(render("latest", kProgress) == "checkpoint-latest");
  CHECK(render("best", kProgress) == "checkpoint-best");
  CHECK(render(".hidden", kProgress) == "checkpoint-.hidden");
  CHECK(render("..", kProgress) == "checkpoint-..");
  CHECK(render("x.corrupt", kProgress) == "x.corrupt-checkpoint");
  CHECK(render("x.corrupt-2", kProgress) == "x.corrupt-2-checkpoint");
  CHECK(render(".corrupt", kProgress) == "checkpoint-.corrupt-checkpoint");
  CHECK(render("history.jsonl", kProgress) == "checkpoint-history.jsonl");
  CHECK(render("lost+found", kProgress) == "checkpoint-lost+found");
  CHECK(render("a\u0085b", kProgress) == "a_b");
  CHECK(render("x.corrupted", kProgress) == "x.corrupted");
  CHECK(render("ü{epoch}", kProgress) == "ü5");
  CHECK(render(std::string(1000, 'x'), kProgress).size() == 200);
  // Never in the middle of a character.
  CHECK(render(std::string(199, 'x') + "ü", kProgress) == std::string(199, 'x'));
}

TEST_CASE("What fmt makes of a number never fails a save, and is UTF-8 in any case") {
  CHECK(render("a{epoch:c}", {0xe4}) == "a_");
  CHECK(render("a{epoch:c}", {int64_t{1} << 40}).front() == 'a');
  CHECK(render("{loss:.300f}", {0, 0, 0.25}).size() == 200);
}

TEST_CASE("A template that can never work is refused when the manager is made") {
  for (const char* bad :
       {"", "a{", "a}", "{}", "{:04d}", "{epoch:.3q}", "{loss:d}", "{epoch", "{acc:{width}}",
        "a\xff", "{acc\xc3}", "{epoch:1000000000d}", "{loss:.99999f}"}) {
    INFO(bad);
    CHECK(contains(error_of([&] { NameTemplate{bad}; }), "invalid_argument: "));
  }
}
