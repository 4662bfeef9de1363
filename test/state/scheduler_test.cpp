#include "support/catch.h"
#include "support/error_of.h"
#include "support/models.h"
#include "support/round_trip.h"

#include "compat/torch_compat.h"

#include <cmath>

using namespace checkpoint;
using test::Saved;
using torch::optim::SGD;
using torch::optim::StepLR;

namespace {

double lr_of(const SGD& optimizer) { return optimizer.param_groups()[0].options().get_lr(); }

// A scheduler over an optimizer of its own, as a training run has them.
template <typename Scheduler>
struct Run {
  template <typename... Args>
  explicit Run(double lr, Args... args)
      : optimizer({torch::zeros({1}).set_requires_grad(true)}, lr), scheduler(optimizer, args...) {}

  State state() {
    State result;
    result.add("optimizer", optimizer).add("scheduler", scheduler).rng(false);
    return result;
  }

  SGD optimizer;
  Scheduler scheduler;
};

// A warm-up, with a state of its own to hand over.
class Warmup : public torch::optim::LRScheduler {
 public:
  explicit Warmup(SGD& optimizer) : LRScheduler(optimizer) {}
  Value state_dict() const { return step_count_; }
  void load_state_dict(const Value& saved) { step_count_ = static_cast<unsigned>(saved.to_int()); }

 private:
  std::vector<double> get_lrs() override { return {0.1 * step_count_}; }
};

class Derived : public StepLR {
 public:
  using StepLR::StepLR;
};

// The learning rates of `steps` steps from now on; the i-th step's metric is metric(i).
template <typename Scheduler, typename Step>
std::vector<double> rates(Run<Scheduler>& run, int first, int end, const Step& step) {
  std::vector<double> result;
  for (int i = first; i < end; ++i) {
    step(run.scheduler, i);
    result.push_back(lr_of(run.optimizer));
  }
  return result;
}

// Saves after each number of steps, restores into `make`'s next run, which has stepped by itself,
// and compares the rest.
template <typename Make, typename Step>
void check_continues(int steps, const Make& make, const Step& step) {
  for (int before = 0; before < steps; ++before) {
    INFO("saved after " << before << " steps");
    auto run = make(0.5);
    rates(*run, 0, before, step);
    const Saved file(run->state());
    const std::vector<double> expected = rates(*run, before, steps, step);

    auto other = make(0.3);
    rates(*other, 0, 2, step);
    State to = other->state();
    file.restore(to);
    CHECK(rates(*other, before, steps, step) == expected);
  }
}

const auto kStep = [](auto& scheduler, int) { scheduler.step(); };

}  // namespace

TEST_CASE("StepLR goes on exactly, wherever it was saved") {
  check_continues(
      10, [](double lr) { return std::make_unique<Run<StepLR>>(lr, 3U, 0.5); }, kStep);
}

TEST_CASE("A user's own scheduler goes on by its state_dict") {
  check_continues(
      5, [](double lr) { return std::make_unique<Run<Warmup>>(lr); }, kStep);
}

TEST_CASE("A scheduler of another configuration is refused, by every number that differs") {
  Run<StepLR> run(0.5, 3U, 0.1);
  const Saved file(run.state());
  Run<StepLR> other(0.25, 4U, 0.5);
  rates(other, 0, 3, kStep);
  State to = other.state();
  const std::string error = error_of([&] { file.restore(to); });
  CHECK(contains(error, "incompatible: "));
  CHECK(contains(error, "scheduler.step_size: 4 here, 3 saved"));
  CHECK(contains(error, "scheduler.gamma: 0.5 here, 0.1 saved"));
  CHECK(lr_of(other.optimizer) == 0.25);
  CHECK(rates(other, 3, 5, kStep) == std::vector<double>{0.25, 0.125});
}

TEST_CASE("A scheduler is taken back when a later item refuses") {
  test::Refusing refusing;
  Run<StepLR> run(0.5, 3U, 0.5);
  rates(run, 0, 2, kStep);
  State from = run.state();
  from.add("value", refusing);
  const Saved file(from);
  Run<StepLR> other(0.5, 3U, 0.5);
  State to = other.state();
  to.add("value", refusing);
  CHECK(contains(error_of([&] { file.restore(to); }), "I refuse"));
  // As if it had never stepped: halved by the fourth step from here, not by the second.
  CHECK(rates(other, 0, 4, kStep) == std::vector<double>{0.5, 0.5, 0.5, 0.25});
}

TEST_CASE("A scheduler's item in the manifest has its class; another kind is refused") {
  Run<StepLR> run(0.5, 3U, 0.5);
  const Saved file(run.state());
  State to = run.state();
  const Restored restored = file.restore(to);
  CHECK(restored.manifest.items[1].kind == "scheduler");
  CHECK(restored.manifest.items[1].type == "StepLR");
  Run<Warmup> other(0.5);
  State to_other = other.state();
  CHECK(contains(error_of([&] { file.restore(to_other); }),
                 "scheduler: object here, scheduler saved"));
}

TEST_CASE("Only LibTorch's own classes are added without a state_dict") {
  Run<Derived> derived(0.5, 3U, 0.5);
  const std::string error = error_of([&] { derived.state(); });
  CHECK(contains(error, "unsupported: "));
  CHECK(contains(error, "State::add(\"scheduler\")"));
  CHECK(contains(error, "load_state_dict"));
  Run<StepLR> run(0.5, 3U, 0.5);
  torch::optim::LRScheduler& base = run.scheduler;
  State state;
  state.add("scheduler", base);  // What counts is the object's class.
}

#if TORCH_CHECKPOINT_HAS_PLATEAU
using Plateau = torch::optim::ReduceLROnPlateauScheduler;

namespace {

std::unique_ptr<Run<Plateau>> make_plateau(double lr, Plateau::SchedulerMode mode, float factor,
                                           int patience) {
  return std::make_unique<Run<Plateau>>(lr, mode, factor, patience, 1e-2, Plateau::rel, 2,
                                        std::vector<float>{1e-3F});
}

}  // namespace

TEST_CASE("ReduceLROnPlateauScheduler goes on exactly, wherever it was saved") {
  for (const auto mode : {Plateau::min, Plateau::max}) {
    check_continues(
        24, [mode](double lr) { return make_plateau(lr, mode, 0.5F, 1); },
        // Better at first, then none for long, then better again.
        [](Plateau& scheduler, int i) {
          scheduler.step(static_cast<float>(std::cos(0.4 * i) + (i % 5) * 0.1));
        });
  }
}

TEST_CASE("A plateau scheduler of another configuration, or StepLR's state, is refused") {
  const auto run = make_plateau(0.5, Plateau::min, 0.5F, 1);
  const Saved file(run->state());
  auto other = make_plateau(0.5, Plateau::max, 0.1F, 4);
  State to = other->state();
  const std::string error = error_of([&] { file.restore(to); });
  CHECK(contains(error, "scheduler.mode: max here, min saved"));
  CHECK(contains(error, "scheduler.factor: 0.1 here, 0.5 saved"));
  CHECK(contains(error, "scheduler.patience: 4 here, 1 saved"));
  Run<StepLR> step(0.5, 3U, 0.5);
  State to_step = step.state();
  CHECK(contains(error_of([&] { file.restore(to_step); }),
                 "scheduler: the state of ReduceLROnPlateau cannot go into StepLR"));
}
#endif
