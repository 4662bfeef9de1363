#include "support/catch.h"
#include "support/error_of.h"
#include "support/models.h"
#include "support/round_trip.h"

using namespace checkpoint;
using test::copies_of;
using test::Net;
using test::same_bits;
using test::Saved;
using test::unchanged;

namespace {

// A backbone and a head, the parts of a model that is fine-tuned.
struct TwoPartsImpl : torch::nn::Module {
  explicit TwoPartsImpl(int64_t classes = 2)
      : backbone(register_module("backbone", torch::nn::Linear(3, 4))),
        head(register_module("head", torch::nn::Linear(4, classes))) {}
  torch::nn::Linear backbone, head;
};
TORCH_MODULE(TwoParts);

struct WrappedImpl : torch::nn::Module {
  WrappedImpl() : module(register_module("module", TwoParts())) {}
  TwoParts module;
};
TORCH_MODULE(Wrapped);

State state_of(TwoParts& model) {
  State state;
  state.add("model", model).rng(false);
  return state;
}

}  // namespace

TEST_CASE("Strict::kNo loads what fits and reports the rest") {
  TwoParts saved(2);
  State from = state_of(saved);
  const Saved file(from);
  TwoParts live(5);
  live->register_buffer("extra", torch::ones({1}));
  const torch::Tensor head = live->head->weight.detach().clone();
  State to = state_of(live);

  CHECK_THROWS_AS(file.restore(to), Error);
  const Restored restored = file.restore(to, RestoreOptions().strict(Strict::kNo));
  CHECK(same_bits(live->backbone->weight, saved->backbone->weight));
  CHECK(same_bits(live->head->weight, head));
  CHECK(restored.report.missing == std::vector<std::string>{"model.extra"});
  CHECK(restored.report.mismatched.size() == 2);
  CHECK_FALSE(restored.report.fits());
}

TEST_CASE("An optimizer of a changed model is restored as far as it fits, if not strict") {
  TwoParts saved(2);
  torch::optim::Adam optimizer(saved->parameters(), torch::optim::AdamOptions(0.25));
  saved->backbone->forward(torch::ones({1, 3})).sum().backward();
  saved->head->forward(torch::ones({1, 4})).sum().backward();
  optimizer.step();
  State from = state_of(saved);
  from.add("optimizer", optimizer);
  const Saved file(from);
  TwoParts live(5);
  torch::optim::Adam live_optimizer(live->parameters(), torch::optim::AdamOptions(0.5));
  State to = state_of(live);
  to.add("optimizer", live_optimizer);
  file.restore(to, RestoreOptions().strict(Strict::kNo));
  CHECK(live_optimizer.param_groups()[0].options().get_lr() == 0.25);
  CHECK(live_optimizer.state().size() == 2);  // The backbone's two.
}

TEST_CASE("include and exclude choose by glob; what is not chosen is no fault") {
  TwoParts saved(2);
  State from = state_of(saved);
  const Saved file(from);
  SECTION("include") {
    TwoParts live(5);
    const auto head = live->head->weight.detach().clone();
    State to = state_of(live);
    const Restored restored = file.restore(to, RestoreOptions().include({"model.backbone.*"}));
    CHECK(restored.report.fits());
    CHECK(same_bits(live->backbone->weight, saved->backbone->weight));
    CHECK(same_bits(live->head->weight, head));
  }
  SECTION("exclude") {
    TwoParts live(5);
    State to = state_of(live);
    double number = 3;
    to.add("number", number);  // Not in the file.
    CHECK(file.restore(to, RestoreOptions().exclude({"*.head.*", "number"})).report.fits());
    CHECK(same_bits(live->backbone->bias, saved->backbone->bias));
    CHECK(number == 3);
  }
  SECTION("items") {
    TwoParts live(2);
    double number = 3;
    State to = state_of(live);
    to.add("number", number);
    CHECK(file.restore(to, RestoreOptions().items({"model"})).report.fits());
    CHECK(same_bits(*saved, *live));
    CHECK(contains(error_of([&] { file.restore(to, RestoreOptions().items({"modle"})); }),
                   "invalid_argument: "));
  }
}

TEST_CASE("rename takes a wrapper's prefix away, or moves a part") {
  Wrapped saved;
  State from;
  from.add("model", saved);
  const Saved file(from);
  TwoParts live;
  State to = state_of(live);
  SECTION("by prefix") { file.restore(to, RestoreOptions().rename("model.module.", "model.")); }
  SECTION("by function") {
    file.restore(to, RestoreOptions().rename([](const std::string& key) {
      const size_t at = key.find("module.");
      return at == std::string::npos ? key : key.substr(0, at) + key.substr(at + 7);
    }));
  }
  CHECK(same_bits(*saved->module, *live));

  // If two keys are renamed to one, the library must not choose silently.
  const auto before = copies_of(*live);
  const std::string error = error_of([&] {
    file.restore(to, RestoreOptions()
                         .rename("model.module.head.weight", "model.backbone.weight")
                         .rename("model.module.", "model."));
  });
  CHECK(contains(error, "not the only saved key"));
  CHECK(unchanged(*live, before));
}

TEST_CASE("Without rename, the error names what was most likely meant") {
  Wrapped saved;
  State from;
  from.add("model", saved);
  const Saved file(from);
  TwoParts live;
  State to = state_of(live);
  CHECK(contains(error_of([&] { file.restore(to); }),
                 "model.head.weight   (saved: model.module.head.weight)"));
  RestoreReport report;
  report.missing = {"model.encoder.weight", "model.something.else"};
  report.unexpected = {"model.encodr.weight", "x"};
  CHECK(contains(report.to_string(), "model.encoder.weight   (saved: model.encodr.weight)"));
  CHECK(contains(report.to_string(), "    model.something.else\n"));
}

TEST_CASE("Dtypes are converted on request alone") {
  TwoParts saved;
  saved->to(torch::kDouble);
  State from = state_of(saved);
  const Saved file(from);
  TwoParts live;
  State to = state_of(live);
  CHECK(contains(error_of([&] { file.restore(to); }), "dtype float32 here, float64 saved"));
  file.restore(to, RestoreOptions().convert_dtype(true));
  CHECK(live->head->weight.scalar_type() == torch::kFloat);
  CHECK(same_bits(live->head->weight, saved->head->weight.to(torch::kFloat)));
}

TEST_CASE("A conversion that would make other numbers of them is refused") {
  const auto convert = [](torch::Tensor saved, torch::ScalarType dtype) {
    torch::Tensor live = torch::zeros_like(saved, dtype);
    State from, to;
    from.add("t", saved);
    to.add("t", live);
    const Saved file(from);
    const std::string error =
        error_of([&] { file.restore(to, RestoreOptions().convert_dtype(true)); });
    CHECK(same_bits(live, error.empty() ? saved.to(dtype) : torch::zeros_like(live)));
    return error;
  };
  CHECK(contains(convert(torch::tensor({1., 1e300, -1e300}, torch::kDouble), torch::kFloat),
                 "t: dtype float32 here, float64 saved: 2 numbers do not fit, such as 1e+300"));
  CHECK(contains(convert(torch::tensor({1e6F}), torch::kHalf), "1 number does not fit: 1e+06"));
  CHECK(contains(convert(torch::tensor({1, 300}), torch::kInt8), "1 number does not fit: 300"));
  CHECK(contains(convert(torch::tensor({-1}), torch::kUInt8), "1 number does not fit: -1"));
  CHECK(contains(convert(torch::tensor({1e30F}), torch::kInt), "1 number does not fit"));
  CHECK(
      contains(convert(torch::tensor({std::nanf("")}), torch::kInt), "1 number does not fit: nan"));
  CHECK(contains(convert(torch::ones({2}, torch::kComplexDouble) * 1e300, torch::kComplexFloat),
                 "2 numbers do not fit"));
  CHECK(contains(convert(torch::ones({2}, torch::kComplexFloat), torch::kFloat), "imaginary"));
  // Rounding is expected of a conversion.
  const double infinite = std::numeric_limits<double>::infinity();
  CHECK(convert(torch::tensor({0.1, -infinite, 1e-300}, torch::kDouble), torch::kFloat).empty());
  CHECK(convert(torch::tensor({1.5F, -2.5F}), torch::kInt8).empty());
  CHECK(convert(torch::tensor({1.5F, -2.5F}), torch::kComplexFloat).empty());
  CHECK(convert(torch::tensor({300, 0}), torch::kBool).empty());
  CHECK(convert(torch::ones({2}, torch::kComplexFloat), torch::kComplexDouble).empty());
}

TEST_CASE("Training flags and requires_grad come back on request alone") {
  Net saved;
  saved->norm->eval();
  saved->conv->weight.requires_grad_(false);
  State from;
  from.add("model", saved);
  const Saved file(from);
  Net live;
  State to;
  to.add("model", live);
  file.restore(to);
  CHECK(live->norm->is_training());
  CHECK(live->conv->weight.requires_grad());
  file.restore(to, RestoreOptions().restore_modes(true));
  CHECK_FALSE(live->norm->is_training());
  CHECK(live->is_training());
  CHECK(live->dropout->is_training());
  CHECK_FALSE(live->conv->weight.requires_grad());
  CHECK(live->conv->bias.requires_grad());
  live->eval();
  file.restore(to, RestoreOptions().restore_modes(true));
  CHECK(live->is_training());
  CHECK_FALSE(live->norm->is_training());
}
