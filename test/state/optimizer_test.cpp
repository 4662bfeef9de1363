#include "support/catch.h"
#include "support/error_of.h"
#include "support/models.h"
#include "support/round_trip.h"

#include "compat/torch_compat.h"

#include <locale>
#include <optional>

using namespace checkpoint;
using namespace torch::optim;
using test::Net;
using test::same_bits;
using test::Saved;

namespace {

using Make = std::function<std::unique_ptr<Optimizer>(Net&)>;

struct Case {
  const char* name;
  Make make;
};

template <typename OptimizerT, typename Options>
Make with(Options options) {
  return [options](Net& net) { return std::make_unique<OptimizerT>(net->parameters(), options); };
}

// Two groups with options of their own.
template <typename OptimizerT, typename Options>
Make in_groups(Options first, Options second) {
  return [first, second](Net& net) {
    std::vector<OptimizerParamGroup> groups;
    groups.emplace_back(net->conv->parameters(), std::make_unique<Options>(first));
    groups.emplace_back(net->second->parameters(), std::make_unique<Options>(second));
    return std::make_unique<OptimizerT>(groups, first);
  };
}

std::vector<Case> cases() {
  return {
      {"SGD", with<SGD>(SGDOptions(0.05))},
      {"SGD with momentum", with<SGD>(SGDOptions(0.05).momentum(0.9).dampening(0.1))},
      {"SGD with nesterov",
       with<SGD>(SGDOptions(0.05).momentum(0.9).nesterov(true).weight_decay(1e-3))},
      {"SGD in groups", in_groups<SGD>(SGDOptions(0.05).momentum(0.9), SGDOptions(0.01))},
      {"Adam", with<Adam>(AdamOptions(0.01))},
      {"Adam with amsgrad", with<Adam>(AdamOptions(0.01).amsgrad(true).betas({0.8, 0.95}))},
      {"Adam in groups", in_groups<Adam>(AdamOptions(0.01), AdamOptions(0.001).eps(1e-6))},
      {"AdamW", with<AdamW>(AdamWOptions(0.01))},
      {"AdamW with amsgrad", with<AdamW>(AdamWOptions(0.01).amsgrad(true).weight_decay(0.1))},
      {"RMSprop", with<RMSprop>(RMSpropOptions(0.01))},
      {"RMSprop centered",
       with<RMSprop>(RMSpropOptions(0.01).centered(true).momentum(0.9).alpha(0.95))},
      {"Adagrad", with<Adagrad>(AdagradOptions(0.05))},
      {"Adagrad with decay",
       with<Adagrad>(AdagradOptions(0.05).lr_decay(0.01).initial_accumulator_value(0.1))},
      {"LBFGS", with<LBFGS>(LBFGSOptions(0.1).max_iter(4).history_size(3))},
      {"LBFGS with line search",
       with<LBFGS>(LBFGSOptions(0.5).max_iter(3).history_size(50).line_search_fn("strong_wolfe"))},
  };
}

State state_of(Net& net, Optimizer& optimizer) {
  State state;
  state.add("model", net).add("optimizer", optimizer);
  return state;
}

// The options of a group, and how often a parameter has been stepped.
double lr_of(const Optimizer& optimizer, size_t group = 0) {
  return optimizer.param_groups()[group].options().get_lr();
}

// Makes a locale that groups digits the program's, as a graphical program may do.
class GroupingLocale {
 public:
  GroupingLocale() : before_(std::locale::global({std::locale::classic(), new Grouping})) {}
  ~GroupingLocale() { std::locale::global(before_); }
  GroupingLocale(const GroupingLocale&) = delete;
  GroupingLocale& operator=(const GroupingLocale&) = delete;

 private:
  struct Grouping final : std::numpunct<char> {
    char do_thousands_sep() const override { return '.'; }
    std::string do_grouping() const override { return "\3"; }
  };

  std::locale before_;
};

}  // namespace

TEST_CASE("Ten steps, a save, ten more; and a restore and ten more: equal bits") {
  for (const Case& each : cases()) {
    for (const int steps_before : {0, 10}) {
      INFO(each.name << " after " << steps_before << " steps");
      torch::manual_seed(1);
      Net net;
      auto optimizer = each.make(net);
      test::train(net, *optimizer, steps_before);
      State from = state_of(net, *optimizer);
      const Saved file(from);
      const double loss = test::train(net, *optimizer, 10);

      torch::manual_seed(99);
      Net other;
      auto restored = each.make(other);
      test::train(other, *restored, 2);  // What it has by itself must leave no trace.
      State to = state_of(other, *restored);
      file.restore(to);
      CHECK(test::train(other, *restored, 10) == loss);
      CHECK(same_bits(*net, *other));
    }
  }
}

TEST_CASE("An optimizer that has stepped keeps its tensors' memory over a restore") {
  Net net;
  Adam optimizer(net->parameters(), AdamOptions(0.01));
  test::train(net, optimizer, 2);
  State state = state_of(net, optimizer);
  const Saved file(state);
  test::train(net, optimizer, 2);
  const auto state_of_first = [&]() -> AdamParamState& {
    return static_cast<AdamParamState&>(
        *optimizer.state()[compat::state_key(optimizer.param_groups()[0].params()[0])]);
  };
  const torch::Tensor before = state_of_first().exp_avg();
  file.restore(state);
  CHECK(state_of_first().step() == 2);
  CHECK(state_of_first().exp_avg().is_same(before));
}

// LibTorch 1.13 knows a parameter's state by the text of its address, which it writes with a
// stream.
TEST_CASE("The states of parameters are found whatever the program's locale") {
  const auto restored_after = [](bool grouping) {
    std::optional<GroupingLocale> locale;
    if (grouping) locale.emplace();
    torch::manual_seed(1);
    Net net;
    Adam optimizer(net->parameters(), AdamOptions(0.01));
    test::train(net, optimizer, 3);
    State from = state_of(net, optimizer);
    const Saved file(from);
    const double loss = test::train(net, optimizer, 3);
    Net other;
    Adam restored(other->parameters(), AdamOptions(0.01));
    State to = state_of(other, restored);
    file.restore(to);
    CHECK(restored.state().size() == net->parameters().size());
    CHECK(test::train(other, restored, 3) == loss);
    return other;
  };
  CHECK(same_bits(*restored_after(false), *restored_after(true)));
}

TEST_CASE("Options come back, also where they equal the constructor's default") {
  Net net;
  AdamOptions options(0.025);
  options.betas({0.5, 0.6}).eps(1e-5).weight_decay(0.3).amsgrad(true);
  Adam optimizer(net->parameters(), options);
  State from = state_of(net, optimizer);
  const Saved custom(from);
  static_cast<AdamOptions&>(optimizer.param_groups()[0].options()) = AdamOptions();
  const Saved defaults(from);

  Net other;
  Adam live(other->parameters(), AdamOptions(0.5).weight_decay(7));
  const auto& live_options = static_cast<const AdamOptions&>(live.param_groups()[0].options());
  State to = state_of(other, live);
  custom.restore(to);
  CHECK(live_options == options);
  defaults.restore(to);
  CHECK(live_options == AdamOptions());
  // The same object as before: schedulers hold on to it.
  CHECK(&live_options == &static_cast<const AdamOptions&>(live.param_groups()[0].options()));
}

TEST_CASE("Restoring an optimizer that had never stepped clears a stale state") {
  Net net;
  SGD fresh(net->parameters(), SGDOptions(0.1).momentum(0.9));
  State state = state_of(net, fresh);
  const Saved file(state);
  test::train(net, fresh, 1);
  REQUIRE(!fresh.state().empty());
  file.restore(state);
  CHECK(fresh.state().empty());
}

TEST_CASE("State is matched by the parameters' names, not by their order") {
  torch::manual_seed(3);
  Net net;
  Adam optimizer({net->first->weight, net->first->bias, net->second->weight}, AdamOptions(0.01));
  test::train(net, optimizer, 3);
  State from = state_of(net, optimizer);
  const Saved file(from);

  Net other;
  Adam live({other->second->weight, other->first->bias, other->first->weight}, AdamOptions(0.01));
  State to = state_of(other, live);
  file.restore(to);
  const auto exp_avg = [](Adam& adam, const torch::Tensor& parameter) {
    return static_cast<AdamParamState&>(*adam.state().at(compat::state_key(parameter))).exp_avg();
  };
  CHECK(same_bits(exp_avg(optimizer, net->first->weight), exp_avg(live, other->first->weight)));
  CHECK(same_bits(exp_avg(optimizer, net->second->weight), exp_avg(live, other->second->weight)));
}

TEST_CASE("What does not fit an optimizer is refused in a sentence, and nothing changes") {
  torch::manual_seed(4);
  Net net;
  Adam adam(net->parameters(), AdamOptions(0.01));
  test::train(net, adam, 2);
  State from = state_of(net, adam);
  const Saved file(from);

  Net other;
  const auto before = test::copies_of(*other);
  const auto refusal = [&](Optimizer& optimizer) {
    State to = state_of(other, optimizer);
    return error_of([&] { file.restore(to); });
  };
  SECTION("another class, even one that would accept the file") {
    AdamW adamw(other->parameters(), AdamWOptions(0.5));
    CHECK(contains(refusal(adamw), "the state of Adam cannot go into AdamW"));
    SGD sgd(other->parameters(), SGDOptions(0.5));
    CHECK(contains(refusal(sgd), "the state of Adam cannot go into SGD"));
    CHECK(lr_of(sgd) == 0.5);
  }
  SECTION("another number of groups") {
    std::vector<OptimizerParamGroup> groups{{other->conv->parameters()},
                                            {other->second->parameters()}};
    Adam live(groups, AdamOptions(0.5));
    CHECK(contains(refusal(live), "2 parameter groups here, 1 saved"));
  }
  SECTION("other parameters") {
    Adam live({other->conv->weight}, AdamOptions(0.5));
    const std::string text = refusal(live);
    CHECK(contains(text, "saved, but not live:"));
    CHECK(contains(text, "optimizer.param_groups.0.model.first.bias"));
    CHECK(lr_of(live) == 0.5);
  }
  CHECK(test::unchanged(*other, before));
}

TEST_CASE("LBFGS, which keeps one vector over all parameters, insists on their order") {
  Net net;
  LBFGS optimizer({net->first->weight, net->second->weight}, LBFGSOptions(0.1).max_iter(2));
  test::train(net, optimizer, 2);
  State from = state_of(net, optimizer);
  const Saved file(from);
  LBFGS live({net->second->weight, net->first->weight}, LBFGSOptions(0.1).max_iter(2));
  State to = state_of(net, live);
  CHECK(contains(error_of([&] { file.restore(to); }), "their order here is not the saved one"));
}

TEST_CASE("Without names, parameters are matched by position and their state checked by shape") {
  torch::Tensor a = torch::ones({3}, torch::requires_grad());
  torch::Tensor b = torch::ones({2, 2}, torch::requires_grad());
  Adam optimizer(std::vector<torch::Tensor>{a, b}, AdamOptions(0.1));
  (a.sum() + b.sum()).backward();
  optimizer.step();
  State from;
  from.add("optimizer", optimizer);
  const Saved file(from);

  Adam same(std::vector<torch::Tensor>{torch::ones({3}), torch::ones({2, 2})}, AdamOptions(0.5));
  State to;
  to.add("optimizer", same);
  file.restore(to);
  CHECK(lr_of(same) == 0.1);
  CHECK(same.state().size() == 2);

  Adam swapped(std::vector<torch::Tensor>{torch::ones({2, 2}), torch::ones({3})}, AdamOptions(0.5));
  State wrong;
  wrong.add("optimizer", swapped);
  CHECK(contains(error_of([&] { file.restore(wrong); }),
                 "shape [3] saved, and the parameter here has [2, 2]"));
  CHECK(swapped.state().empty());
  CHECK(lr_of(swapped) == 0.5);
}

TEST_CASE("Several optimizers on one model, one over several models, frozen parameters") {
  torch::manual_seed(5);
  Net a, b;
  a->conv->weight.requires_grad_(false);
  const auto both = [](Net& left, Net& right) {
    std::vector<torch::Tensor> parameters = left->parameters();
    for (const torch::Tensor& parameter : right->parameters()) parameters.push_back(parameter);
    return parameters;
  };
  Adam joint(both(a, b), AdamOptions(0.01));
  SGD second(a->second->parameters(), SGDOptions(0.01).momentum(0.9));
  test::train(a, joint, 3);
  test::train(a, second, 3);
  State from;
  from.add("a", a).add("b", b).add("joint", joint).add("second", second);
  const Saved file(from);

  Net c, d;
  Adam joint_too(both(c, d), AdamOptions(0.5));
  SGD second_too(c->second->parameters(), SGDOptions(0.5).momentum(0.9));
  State to;
  to.add("a", c).add("b", d).add("joint", joint_too).add("second", second_too);
  file.restore(to);
  CHECK(joint_too.state().size() == joint.state().size());
  const double first_loss = test::train(a, joint, 2) + test::train(a, second, 2);
  file.restore(to);
  // The generator is back where it was, and conv->weight takes part in c alone.
  c->conv->weight.requires_grad_(false);
  CHECK(test::train(c, joint_too, 2) + test::train(c, second_too, 2) == first_loss);
}

TEST_CASE("A parameter group added later comes back with its own options and state") {
  torch::manual_seed(6);
  const auto make = [](Net& net) {
    return std::make_unique<Adam>(net->conv->parameters(), AdamOptions(0.01));
  };
  // Not Adam's own default, 0.001: LibTorch 2.14 takes the first group's in its place.
  const auto add_group = [](Adam& adam, Net& net) {
    adam.add_param_group(OptimizerParamGroup(net->second->parameters(),
                                             std::make_unique<AdamOptions>(AdamOptions(0.002))));
  };
  Net net;
  const auto adam = make(net);
  test::train(net, *adam, 2);
  add_group(*adam, net);
  test::train(net, *adam, 2);
  State from = state_of(net, *adam);
  const Saved file(from);
  const double loss = test::train(net, *adam, 3);

  Net other;
  const auto live = make(other);
  State to = state_of(other, *live);
  CHECK(contains(error_of([&] { file.restore(to); }), "1 parameter groups here, 2 saved"));
  add_group(*live, other);
  live->param_groups()[1].options().set_lr(0.5);
  file.restore(to);
  CHECK(lr_of(*live, 1) == 0.002);
  CHECK(test::train(other, *live, 3) == loss);
  CHECK(same_bits(*net, *other));
}

TEST_CASE("A state of another dtype than its parameter's comes back as it was") {
  Net net;
  Adam optimizer(net->parameters(), AdamOptions(0.01));
  test::train(net, optimizer, 1);
  State state = state_of(net, optimizer);
  net->to(torch::kDouble);  // LibTorch keeps stepping with a float state.
  const Saved file(state);
  optimizer.state().clear();
  file.restore(state);
  const auto& restored =
      static_cast<AdamParamState&>(*optimizer.state().at(compat::state_key(net->conv->weight)));
  CHECK(restored.exp_avg().scalar_type() == torch::kFloat);
}
