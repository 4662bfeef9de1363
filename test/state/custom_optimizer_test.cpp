#include "support/catch.h"
#include "support/error_of.h"
#include "support/models.h"
#include "support/round_trip.h"

#include <map>

using namespace checkpoint;
using test::same_bits;
using test::Saved;
using torch::serialize::InputArchive;
using torch::serialize::OutputArchive;

namespace {

struct HeavyOptions : torch::optim::OptimizerCloneableOptions<HeavyOptions> {
  double lr = 0.1;
};

// Gradient descent with a momentum of its own, in a map of its own.
class HeavyBall : public torch::optim::Optimizer {
 public:
  explicit HeavyBall(const std::vector<torch::Tensor>& parameters, double lr = 0.1)
      : Optimizer({torch::optim::OptimizerParamGroup(parameters)},
                  std::make_unique<HeavyOptions>()),
        rate(lr) {}

  torch::Tensor step(LossClosure closure = nullptr) override {
    torch::Tensor loss;
    if (closure) {
      const torch::AutoGradMode grad(true);
      loss = closure();
    }
    const torch::NoGradGuard no_grad;
    const auto& parameters = param_groups()[0].params();
    for (size_t i = 0; i < parameters.size(); ++i) {
      torch::Tensor parameter = parameters[i];
      if (!parameter.grad().defined()) continue;
      torch::Tensor& velocity = velocities[static_cast<int64_t>(i)];
      if (!velocity.defined()) velocity = torch::zeros_like(parameter);
      velocity.mul_(0.9).add_(parameter.grad());
      parameter.sub_(velocity, rate);
    }
    ++steps;
    return loss;
  }

  void save(OutputArchive& archive) const override {
    archive.write("rate", c10::IValue(rate));
    archive.write("steps", c10::IValue(steps));
    c10::Dict<int64_t, torch::Tensor> saved;
    for (const auto& [index, velocity] : velocities) saved.insert(index, velocity);
    archive.write("velocities", c10::IValue(saved));
    archive.write("history", c10::IValue(c10::List<double>(history)));
  }
  void load(InputArchive& archive) override {
    c10::IValue value;
    archive.read("rate", value);
    rate = value.toDouble();
    archive.read("steps", value);
    steps = value.toInt();
    if (throws_half_way) throw std::runtime_error("half way");
    archive.read("velocities", value);
    velocities.clear();
    for (const auto& entry : value.to<c10::Dict<int64_t, torch::Tensor>>()) {
      velocities[entry.key()] = entry.value();
    }
    archive.read("history", value);
    history = value.toDoubleVector();
  }

  double rate;
  int64_t steps = 0;
  std::map<int64_t, torch::Tensor> velocities;
  std::vector<double> history;
  bool throws_half_way = false;
};

// Derived from one of LibTorch's, with nothing more to save.
class LoudSgd : public torch::optim::SGD {
 public:
  using SGD::SGD;
  torch::Tensor step(LossClosure closure = nullptr) override {
    ++calls;
    return SGD::step(closure);
  }
  int calls = 0;
};

// Derived from one of LibTorch's, with a value more.
class CountingSgd : public torch::optim::SGD {
 public:
  using SGD::SGD;
  torch::Tensor step(LossClosure closure = nullptr) override {
    ++calls;
    return SGD::step(closure);
  }
  void save(OutputArchive& archive) const override {
    SGD::save(archive);
    archive.write("calls", c10::IValue(calls));
  }
  void load(InputArchive& archive) override {
    SGD::load(archive);
    c10::IValue value;
    archive.read("calls", value);
    calls = value.toInt();
  }
  int64_t calls = 0;
};

torch::optim::SGDOptions with_momentum(double lr) {
  return torch::optim::SGDOptions(lr).momentum(0.9);
}

// Four steps; or two, a save, a restore into other objects, and two more: the same weights.
template <typename Make>
void check_resume(const Make& make) {
  torch::manual_seed(3);
  test::Net straight;
  auto optimizer = make(straight->parameters());
  test::train(straight, *optimizer, 2);
  State from;
  from.add("model", straight).add("optimizer", *optimizer);
  const Saved file(from);
  test::train(straight, *optimizer, 2);

  torch::manual_seed(4);
  test::Net resumed;
  auto live = make(resumed->parameters());
  // It has taken steps itself, and nothing of them must stay.
  test::train(resumed, *live, 3);
  State to;
  to.add("model", resumed).add("optimizer", *live);
  file.restore(to);
  test::train(resumed, *live, 2);
  CHECK(same_bits(*straight, *resumed));
}

double lr_of(torch::optim::Optimizer& optimizer) {
  return static_cast<torch::optim::SGDOptions&>(optimizer.param_groups()[0].options()).lr();
}

}  // namespace

TEST_CASE("Training goes on with an optimizer of one's own, bit for bit") {
  check_resume([](const auto& parameters) { return std::make_unique<HeavyBall>(parameters); });
}

TEST_CASE("Training goes on with a class derived from SGD, bit for bit") {
  check_resume([](const auto& parameters) {
    return std::make_unique<LoudSgd>(parameters, with_momentum(0.05));
  });
  check_resume([](const auto& parameters) {
    return std::make_unique<CountingSgd>(parameters, with_momentum(0.05));
  });
}

TEST_CASE("All that an optimizer's own save writes comes back, empty lists and dicts too") {
  test::Net net;
  HeavyBall saved(net->parameters(), 0.25);
  State from;
  from.add("model", net).add("optimizer", saved);
  const Saved fresh(from);
  test::train(net, saved, 3);
  saved.history = {0.5, 0.25};
  const Saved trained(from);

  const Manifest manifest = trained.restore(from).manifest;
  CHECK(manifest.items[1].kind == "optimizer");
  CHECK(contains(manifest.items[1].type, "HeavyBall"));
  CHECK(manifest.items[1].group_sizes == std::vector<int64_t>{8});

  HeavyBall live(net->parameters());
  State to;
  to.add("model", net).add("optimizer", live);
  trained.restore(to);
  CHECK(live.rate == 0.25);
  CHECK(live.steps == 3);
  CHECK(live.history == saved.history);
  REQUIRE(live.velocities.size() == 8);
  CHECK(same_bits(live.velocities[2], saved.velocities[2]));

  fresh.restore(to);
  CHECK(live.steps == 0);
  CHECK(live.history.empty());
  CHECK(live.velocities.empty());
}

TEST_CASE("A class derived from SGD gets its learning rate back, and loses a momentum it had not") {
  test::Net net;
  CountingSgd saved(net->parameters(), with_momentum(0.025));
  State from;
  from.add("model", net).add("optimizer", saved);
  const Saved fresh(from);

  CountingSgd live(net->parameters(), with_momentum(0.5));
  test::train(net, live, 2);
  REQUIRE(live.state().size() == 8);
  State to;
  to.add("model", net).add("optimizer", live);
  fresh.restore(to);
  CHECK(lr_of(live) == 0.025);
  CHECK(live.calls == 0);
  CHECK(live.state().empty());
}

TEST_CASE("An optimizer's load that throws is undone") {
  test::Net net;
  HeavyBall saved(net->parameters(), 0.25);
  CountingSgd counting(net->parameters(), with_momentum(0.025));
  State from;
  from.add("model", net).add("counting", counting).add("optimizer", saved);
  const Saved file(from);

  HeavyBall live(net->parameters(), 0.75);
  CountingSgd other(net->parameters(), with_momentum(0.5));
  test::train(net, live, 1);
  test::train(net, other, 2);
  const auto before = test::copies_of(*net);
  const torch::Tensor velocity = live.velocities[1].clone();
  live.throws_half_way = true;
  State to;
  to.add("model", net).add("counting", other).add("optimizer", live);
  const std::string error = error_of([&] { file.restore(to); });
  CHECK(contains(error, "'optimizer' cannot be restored: its own load failed: half way"));
  CHECK(test::unchanged(*net, before));
  CHECK(lr_of(other) == 0.5);
  CHECK(other.calls == 2);
  CHECK(other.state().size() == 8);
  CHECK(live.rate == 0.75);
  CHECK(live.steps == 1);
  CHECK(same_bits(live.velocities[1], velocity));
}

TEST_CASE("Another class's state, and other parameters, are refused in a sentence") {
  test::Net net;
  HeavyBall saved(net->parameters());
  State from;
  from.add("model", net).add("optimizer", saved);
  const Saved file(from);
  const auto refused = [&](torch::optim::Optimizer& live) {
    State to;
    to.add("model", net).add("optimizer", live);
    return error_of([&] { file.restore(to); });
  };
  LoudSgd sgd(net->parameters(), 0.1);
  CHECK(contains(refused(sgd), "HeavyBall cannot go into"));
  torch::optim::Adam adam(net->parameters());
  CHECK(contains(refused(adam), "HeavyBall cannot go into Adam"));
  HeavyBall fewer(net->first->parameters());
  CHECK(contains(refused(fewer), "optimizer.param_groups.0: 2 parameters here, 8 saved"));

  std::vector<torch::Tensor> swapped = net->parameters();
  std::swap(swapped[0], swapped[1]);
  HeavyBall other_order(swapped);
  CHECK(contains(refused(other_order),
                 "optimizer.param_groups.0.0: the parameter 'model.conv.bias' here, "
                 "'model.conv.weight' saved"));
}
