// The code of docs/integration.md: ten training programs as they are found, before and after. The
// code between two [guide] marks is a snippet of the page. Each "after" is started twice, and
// continues where the first one ended.

#include "guide/guide.h"
#include "ranks/ranks.h"
#include "support/catch.h"

#include <checkpoint/checkpoint.h>
#include <torch/script.h>
#include <torch/torch.h>

#include <algorithm>
#include <deque>
#include <string>
#include <tuple>
#include <vector>

using namespace checkpoint;

namespace {
namespace programs {

constexpr int64_t kBatch = 4;
int64_t epochs = 2;  // More of them at the second start.

using Batch = torch::data::Example<>;

class Points : public torch::data::datasets::Dataset<Points> {
 public:
  Batch get(size_t index) override {
    const auto number = static_cast<double>(index);
    return {torch::tensor({number / 12, 1 - number / 12}).to(torch::kFloat),
            torch::tensor(number > 6 ? 1 : 0)};
  }
  torch::optional<size_t> size() const override { return 12; }
};

auto dataset() { return Points().map(torch::data::transforms::Stack<>()); }

struct Net : torch::nn::Module {
  Net() { register_module("layer", layer); }
  torch::Tensor forward(const torch::Tensor& x) { return torch::log_softmax(layer(x), 1); }
  torch::nn::Linear layer{2, 2};
};

template <typename Model>
double train_step(Model& model, torch::optim::Optimizer& optimizer, const Batch& batch) {
  optimizer.zero_grad();
  const torch::Tensor loss = torch::nll_loss(model.forward(batch.data), batch.target);
  loss.backward();
  optimizer.step();
  return loss.template item<double>();
}

template <typename Loader>
double train(Net& model, Loader& loader, torch::optim::Optimizer& optimizer) {
  double loss = 0;
  for (const Batch& batch : loader) loss = train_step(model, optimizer, batch);
  return loss;
}

// Runs a program twice in one folder, the second time for longer, and returns what is there then.
template <typename Program>
std::vector<CheckpointInfo> started_twice(const std::string& directory, const Program& program) {
  for (const int64_t wanted : {2, 4}) {
    epochs = wanted;
    torch::manual_seed(wanted);
    program();
  }
  CheckpointManager manager(directory, CheckpointManagerOptions().read_only(true));
  return manager.list();
}

// Whether the second start continued, and did not begin again.
void check_went_on(const std::vector<CheckpointInfo>& found) {
  REQUIRE_FALSE(found.empty());
  CHECK(found.back().damage.empty());
  CHECK_FALSE(found.back().manifest.parent.empty());
}

}  // namespace programs
}  // namespace

using namespace programs;

TEST_CASE("integration: a classifier whose epochs count from 1") {
  const guide::EmptyFolder folder;
  const auto train_loader = torch::data::make_data_loader(dataset(), kBatch);
  {
    // [guide]
    Net model;
    torch::optim::SGD optimizer(model.parameters(), torch::optim::SGDOptions(0.01).momentum(0.5));

    for (int64_t epoch = 1; epoch <= epochs; ++epoch) {
      train(model, *train_loader, optimizer);
    }
    // [guide]
  }
  check_went_on(started_twice("runs/classifier", [&] {
    // [guide]
    Net model;
    torch::optim::SGD optimizer(model.parameters(), torch::optim::SGDOptions(0.01).momentum(0.5));

    State state;
    state.add("model", model).add("optimizer", optimizer);
    CheckpointManager manager("runs/classifier",
                              CheckpointManagerOptions().every_n_epochs(1).keep_last(3));
    Progress progress;

    for (int64_t epoch = manager.resume(state, progress) + 1; epoch <= epochs; ++epoch) {
      progress.loss = train(model, *train_loader, optimizer);
      progress.epoch = epoch - 1;  // the library counts from 0
      manager.save_if_due(state, progress);
    }
    // [guide]
  }));
}

TEST_CASE("integration: two networks, saved every so many batches") {
  const guide::EmptyFolder folder;
  constexpr int64_t kCheckpointEvery = 2;
  const auto step = [](Net& generator, Net& discriminator, torch::optim::Optimizer& first,
                       torch::optim::Optimizer& second, const Batch& batch) {
    train_step(generator, first, batch);
    train_step(discriminator, second, batch);
  };
  {
    auto generator = std::make_shared<Net>(), discriminator = std::make_shared<Net>();
    torch::optim::Adam generator_optimizer(generator->parameters());
    torch::optim::Adam discriminator_optimizer(discriminator->parameters());
    const bool restore = false;
    const auto loader = torch::data::make_data_loader(dataset(), kBatch);
    // [guide]
    if (restore) {
      torch::load(generator, "generator.pt");
      torch::load(generator_optimizer, "generator_optimizer.pt");
      torch::load(discriminator, "discriminator.pt");
      torch::load(discriminator_optimizer, "discriminator_optimizer.pt");
    }
    for (int64_t epoch = 0; epoch < epochs; ++epoch) {
      int64_t batch_index = 0;
      for (const auto& batch : *loader) {
        step(*generator, *discriminator, generator_optimizer, discriminator_optimizer, batch);
        if (++batch_index % kCheckpointEvery == 0) {
          torch::save(generator, "generator.pt");
          torch::save(generator_optimizer, "generator_optimizer.pt");
          torch::save(discriminator, "discriminator.pt");
          torch::save(discriminator_optimizer, "discriminator_optimizer.pt");
        }
      }
    }
    // [guide]
  }
  check_went_on(started_twice("runs/gan", [&] {
    auto generator = std::make_shared<Net>(), discriminator = std::make_shared<Net>();
    torch::optim::Adam generator_optimizer(generator->parameters());
    torch::optim::Adam discriminator_optimizer(discriminator->parameters());
    // [guide]
    auto sampler = ResumableSampler::shuffled(dataset().size().value(), /*seed=*/1);
    const auto loader = torch::data::make_data_loader(dataset(), sampler, kBatch);
    State state;
    state.add("generator", generator).add("generator_optimizer", generator_optimizer);
    state.add("discriminator", discriminator)
        .add("discriminator_optimizer", discriminator_optimizer);
    state.add("sampler", sampler);
    CheckpointManager manager(
        "runs/gan", CheckpointManagerOptions().every_n_steps(kCheckpointEvery).keep_last(2));
    Progress progress;

    for (int64_t epoch = manager.resume(state, progress); epoch < epochs; ++epoch) {
      progress.epoch = epoch;
      progress.epoch_done = false;
      sampler.set_epoch(epoch);
      for (const auto& batch : *loader) {
        step(*generator, *discriminator, generator_optimizer, discriminator_optimizer, batch);
        progress.step += 1;
        sampler.advance(batch.data.size(0));
        manager.save_if_due(state, progress);
      }
      progress.epoch_done = true;
      manager.save_if_due(state, progress);
    }
    // [guide]
    CHECK(progress.step == epochs * 3);
  }));
}

TEST_CASE("integration: a recurrent network that carries its state from batch to batch") {
  const guide::EmptyFolder folder;
  constexpr int64_t kLength = 5;
  const torch::Tensor text = torch::arange(64) % 3;
  torch::nn::LSTM network(3, 4);
  torch::optim::Adam optimizer(network->parameters());
  using Hidden = std::tuple<torch::Tensor, torch::Tensor>;
  const auto train_on = [&](const torch::Tensor& piece, Hidden& hidden) {
    const torch::Tensor input = torch::one_hot(piece, 3).to(torch::kFloat).unsqueeze(1);
    if (!std::get<0>(hidden).defined()) {
      hidden = {torch::zeros({1, 1, 4}), torch::zeros({1, 1, 4})};
    }
    const auto [output, after] = network->forward(input, hidden);
    optimizer.zero_grad();
    output.sum().backward();
    optimizer.step();
    hidden = {std::get<0>(after).detach(), std::get<1>(after).detach()};
  };
  {
    const int64_t steps = epochs * 5;
    // [guide]
    Hidden hidden;
    int64_t position = 0;
    for (int64_t step = 0; step < steps; ++step) {
      train_on(text.slice(0, position, position + kLength), hidden);
      position = (position + kLength) % text.size(0);
    }
    torch::save(network, "network.pt");
    // [guide]
  }
  check_went_on(started_twice("runs/text", [&] {
    const int64_t steps = epochs * 5;
    // [guide]
    Hidden hidden;
    int64_t position = 0;
    State state;
    state.add("network", network).add("optimizer", optimizer).add("position", position);
    state.add("h", std::get<0>(hidden)).add("c", std::get<1>(hidden));
    CheckpointManager manager("runs/text",
                              CheckpointManagerOptions().every_n_steps(5).keep_last(2));
    const auto restored = manager.restore_latest(state);
    Progress progress = restored ? restored->progress() : Progress();

    while (progress.step < steps) {
      train_on(text.slice(0, position, position + kLength), hidden);
      position = (position + kLength) % text.size(0);
      progress.step += 1;
      manager.save_if_due(state, progress);
    }
    // [guide]
    CHECK(position == steps * kLength % text.size(0));
  }));
}

namespace {
namespace programs {

struct Transition {
  torch::Tensor state;
  int64_t action = 0;
};

// Goes up and down by chance; an episode has five steps.
struct Environment {
  torch::Tensor state = torch::zeros({2});
  int64_t steps = 0;
  bool done() const { return steps >= 5; }
  void reset() {
    state = torch::zeros({2});
    steps = 0;
  }
  Transition act(Net& policy, double epsilon) {
    const bool explores = torch::rand({}).item<double>() < epsilon;
    const int64_t action =
        explores ? steps % 2 : policy.forward(state.view({1, 2})).argmax().item<int64_t>();
    ++steps;
    state = state + torch::randn({2});
    return {state, action};
  }
};

void learn(Net& policy, Net& target, torch::optim::Optimizer& optimizer,
           const std::deque<Transition>& memory) {
  const Transition& one = memory[memory.size() / 2];
  optimizer.zero_grad();
  const torch::Tensor input = one.state.view({1, 2});
  torch::mse_loss(policy.forward(input), target.forward(input).detach()).backward();
  optimizer.step();
}

// [guide]
struct Memory {
  std::deque<Transition> transitions;

  Value state_dict() const {
    std::vector<torch::Tensor> states, actions;
    for (const Transition& transition : transitions) {
      states.push_back(transition.state);
      actions.push_back(torch::tensor(transition.action));
    }
    Dict saved;
    saved.insert("states", states.empty() ? torch::zeros({0}) : torch::stack(states));
    saved.insert("actions", actions.empty() ? torch::zeros({0}) : torch::stack(actions));
    return saved;
  }
  void load_state_dict(const Value& saved) {
    const torch::Tensor states = saved.dict().at("states").to_tensor();
    const torch::Tensor actions = saved.dict().at("actions").to_tensor();
    transitions.clear();
    for (int64_t i = 0; i < states.size(0); ++i) {
      transitions.push_back({states[i], actions[i].item<int64_t>()});
    }
  }
};
// [guide]

}  // namespace programs
}  // namespace

TEST_CASE("integration: an agent with a replay memory") {
  const guide::EmptyFolder folder;
  constexpr size_t kCapacity = 12;
  Net policy, target;
  torch::optim::Adam optimizer(policy.parameters());
  Environment environment;
  {
    const int64_t episodes = epochs;
    // [guide]
    std::deque<Transition> memory;
    double epsilon = 1;
    for (int64_t episode = 0; episode < episodes; ++episode) {
      for (environment.reset(); !environment.done();) {
        memory.push_back(environment.act(policy, epsilon));
        if (memory.size() > kCapacity) memory.pop_front();
        learn(policy, target, optimizer, memory);
      }
      epsilon = std::max(0.05, epsilon * 0.99);
    }
    // [guide]
  }
  check_went_on(started_twice("runs/agent", [&] {
    const int64_t episodes = epochs;
    // [guide]
    Memory memory;
    double epsilon = 1;
    State state;
    state.add("policy", policy).add("target", target).add("optimizer", optimizer);
    state.add("memory", memory).add("epsilon", epsilon);
    CheckpointManager manager("runs/agent",
                              CheckpointManagerOptions().every_n_epochs(1).keep_last(1));
    Progress progress;

    for (int64_t episode = manager.resume(state, progress); episode < episodes; ++episode) {
      for (environment.reset(); !environment.done(); progress.step += 1) {
        memory.transitions.push_back(environment.act(policy, epsilon));
        if (memory.transitions.size() > kCapacity) memory.transitions.pop_front();
        learn(policy, target, optimizer, memory.transitions);
      }
      epsilon = std::max(0.05, epsilon * 0.99);
      progress.epoch = episode;
      manager.save_if_due(state, progress);
    }
    // [guide]
    CHECK(memory.transitions.size() == std::min<size_t>(kCapacity, episodes * 5));
    CHECK(progress.step == episodes * 5);
  }));
}

TEST_CASE("integration: a regression that runs until it is good enough") {
  const guide::EmptyFolder folder;
  const auto batch_of = [](const torch::Tensor& weights) {
    const torch::Tensor x = torch::randn({32, 3});
    return std::make_pair(x, x.mm(weights));
  };
  const auto fit = [](torch::nn::Linear& model, torch::optim::Optimizer& optimizer,
                      const std::pair<torch::Tensor, torch::Tensor>& batch) {
    optimizer.zero_grad();
    const torch::Tensor loss = torch::smooth_l1_loss(model(batch.first), batch.second);
    loss.backward();
    optimizer.step();
    return loss.item<double>();
  };
  double wanted = 0.5;
  {
    // [guide]
    const torch::Tensor true_weights = torch::randn({3, 1});
    torch::nn::Linear model(3, 1);
    torch::optim::SGD optimizer(model->parameters(), 0.1);
    int64_t batches = 0;
    for (double loss = 1; loss > wanted; ++batches) {
      loss = fit(model, optimizer, batch_of(true_weights));
    }
    // [guide]
    CHECK(batches > 0);
  }
  check_went_on(started_twice("runs/regression", [&] {
    wanted = epochs == 2 ? 0.01 : 0.0001;
    // [guide]
    torch::Tensor true_weights = torch::randn({3, 1});  // by chance: it has to come back as well
    torch::nn::Linear model(3, 1);
    torch::optim::SGD optimizer(model->parameters(), 0.1);

    State state;
    state.add("model", model).add("optimizer", optimizer).add("true_weights", true_weights);
    CheckpointManager manager("runs/regression",
                              CheckpointManagerOptions().every_n_steps(2).keep_last(2));
    const auto restored = manager.restore_latest(state);
    Progress progress = restored ? restored->progress() : Progress();

    for (double loss = 1; loss > wanted;) {
      loss = fit(model, optimizer, batch_of(true_weights));
      progress.step += 1;
      progress.loss = loss;
      manager.save_if_due(state, progress);
    }
    // [guide]
    CHECK(torch::allclose(model->weight.view({3}), true_weights.view({3}), 0.3, 0.3));
  }));
}

TEST_CASE("integration: tensors without a module, and steps by hand") {
  const guide::EmptyFolder folder;
  const torch::Tensor x = torch::randn({16, 3});
  const torch::Tensor y = x.sum(1, true) + 1;
  const int64_t steps_each = 5;
  {
    const int64_t steps = epochs * steps_each;
    // [guide]
    torch::Tensor w = torch::randn({3, 1}, torch::requires_grad());
    torch::Tensor b = torch::zeros({1}, torch::requires_grad());
    torch::Tensor velocity = torch::zeros_like(w);
    for (int64_t step = 0; step < steps; ++step) {
      torch::mse_loss(x.mm(w) + b, y).backward();
      const torch::NoGradGuard no_grad;
      velocity.mul_(0.9).add_(w.grad());
      w -= 0.01 * velocity;
      b -= 0.01 * b.grad();
      w.grad().zero_();
      b.grad().zero_();
    }
    // [guide]
  }
  check_went_on(started_twice("runs/by_hand", [&] {
    const int64_t steps = epochs * steps_each;
    // [guide]
    torch::Tensor w = torch::randn({3, 1}, torch::requires_grad());
    torch::Tensor b = torch::zeros({1}, torch::requires_grad());
    torch::Tensor velocity = torch::zeros_like(w);
    State state;
    state.add("w", w).add("b", b).add("velocity", velocity);
    CheckpointManager manager("runs/by_hand",
                              CheckpointManagerOptions().every_n_steps(5).keep_last(2));
    const auto restored = manager.restore_latest(state);
    Progress progress = restored ? restored->progress() : Progress();

    while (progress.step < steps) {
      torch::mse_loss(x.mm(w) + b, y).backward();
      const torch::NoGradGuard no_grad;
      velocity.mul_(0.9).add_(w.grad());
      w -= 0.01 * velocity;
      b -= 0.01 * b.grad();
      w.grad().zero_();
      b.grad().zero_();
      progress.step += 1;
      manager.save_if_due(state, progress);
    }
    // [guide]
    CHECK(w.requires_grad());
    CHECK(w.is_leaf());
  }));
}

TEST_CASE("integration: a search with two optimizers and a scheduler") {
  const guide::EmptyFolder folder;
  const auto train_loader = torch::data::make_data_loader(dataset(), kBatch);
  const auto search_step = [](Net& model, torch::Tensor& mix, torch::optim::Optimizer& optimizer) {
    optimizer.zero_grad();
    (model.forward(torch::ones({1, 2})) * mix.softmax(0)).sum().backward();
    optimizer.step();
  };
  {
    // [guide]
    Net model;
    torch::Tensor mix = torch::zeros({2}, torch::requires_grad());  // what the search is for
    torch::optim::SGD optimizer(model.parameters(), torch::optim::SGDOptions(0.025).momentum(0.9));
    torch::optim::Adam mix_optimizer(std::vector<torch::Tensor>{mix},
                                     torch::optim::AdamOptions(3e-4).betas({0.5, 0.999}));
    torch::optim::StepLR scheduler(optimizer, /*step_size=*/10, /*gamma=*/0.5);

    for (int64_t epoch = 0; epoch < epochs; ++epoch) {
      search_step(model, mix, mix_optimizer);
      train(model, *train_loader, optimizer);
      scheduler.step();
    }
    // [guide]
  }
  check_went_on(started_twice("runs/search", [&] {
    // [guide]
    Net model;
    torch::Tensor mix = torch::zeros({2}, torch::requires_grad());
    torch::optim::SGD optimizer(model.parameters(), torch::optim::SGDOptions(0.025).momentum(0.9));
    torch::optim::Adam mix_optimizer(std::vector<torch::Tensor>{mix},
                                     torch::optim::AdamOptions(3e-4).betas({0.5, 0.999}));
    torch::optim::StepLR scheduler(optimizer, /*step_size=*/10, /*gamma=*/0.5);

    State state;
    state.add("model", model).add("optimizer", optimizer).add("scheduler", scheduler);
    state.add("mix", mix).add("mix_optimizer", mix_optimizer);
    CheckpointManager manager("runs/search",
                              CheckpointManagerOptions().every_n_epochs(1).keep_last(2));
    Progress progress;

    for (int64_t epoch = manager.resume(state, progress); epoch < epochs; ++epoch) {
      search_step(model, mix, mix_optimizer);
      progress.loss = train(model, *train_loader, optimizer);
      scheduler.step();
      progress.epoch = epoch;
      manager.save_if_due(state, progress);
    }
    // [guide]
    CHECK(mix_optimizer.state().size() == 1);
  }));
}

TEST_CASE("integration: transfer learning, with a frozen backbone and the best kept") {
  const guide::EmptyFolder folder;
  torch::nn::Linear backbone(2, 4);
  const auto loader = torch::data::make_data_loader(dataset(), kBatch);
  const auto train_head = [&](torch::nn::Linear& head, torch::optim::Optimizer& optimizer) {
    double right = 0;
    for (const Batch& batch : *loader) {
      optimizer.zero_grad();
      const torch::Tensor output = head(torch::relu(backbone(batch.data)));
      torch::nn::functional::cross_entropy(output, batch.target).backward();
      optimizer.step();
      right += output.argmax(1).eq(batch.target).sum().item<double>();
    }
    return right / 12;
  };
  {
    // [guide]
    for (auto& parameter : backbone->parameters()) parameter.requires_grad_(false);
    torch::nn::Linear head(4, 2);
    torch::optim::Adam optimizer(head->parameters(), torch::optim::AdamOptions(1e-3));
    double best = 0;
    for (int64_t epoch = 0; epoch < epochs; ++epoch) {
      const double accuracy = train_head(head, optimizer);
      if (accuracy > best) {
        best = accuracy;
        torch::save(head, "best_head.pt");
      }
    }
    // [guide]
  }
  check_went_on(started_twice("runs/head", [&] {
    // [guide]
    for (auto& parameter : backbone->parameters()) parameter.requires_grad_(false);
    torch::nn::Linear head(4, 2);
    torch::optim::Adam optimizer(head->parameters(), torch::optim::AdamOptions(1e-3));

    State state;
    state.add("head", head).add("optimizer", optimizer);  // the backbone is a file already
    CheckpointManager manager("runs/head",
                              CheckpointManagerOptions().every_n_epochs(1).keep_last(1).keep_best(
                                  1, "accuracy", Mode::kMax));
    Progress progress;

    for (int64_t epoch = manager.resume(state, progress); epoch < epochs; ++epoch) {
      progress.metrics["accuracy"] = train_head(head, optimizer);
      progress.epoch = epoch;
      manager.save_if_due(state, progress);
    }
    manager.restore_best(state);  // the head to go on with
    // [guide]
    CHECK(manager.best("accuracy"));
  }));
}

TEST_CASE("integration: fine-tuning of a TorchScript module") {
  const guide::EmptyFolder folder;
  {
    torch::jit::Module module("net");
    module.register_parameter("weight", torch::ones({2, 2}, torch::requires_grad()), false);
    module.define("def forward(self, x):\n  return x.matmul(self.weight.t())\n");
    module.save("net.pt");
  }
  const auto loader = torch::data::make_data_loader(dataset(), kBatch);
  const auto tune = [&](torch::jit::Module& module, torch::optim::Optimizer& optimizer) {
    for (const Batch& batch : *loader) {
      optimizer.zero_grad();
      const torch::Tensor output = module.forward({batch.data}).toTensor();
      torch::nn::functional::cross_entropy(output, batch.target).backward();
      optimizer.step();
    }
  };
  {
    // [guide]
    torch::jit::Module module = torch::jit::load("net.pt");
    std::vector<torch::Tensor> parameters;
    for (const torch::Tensor& parameter : module.parameters()) parameters.push_back(parameter);
    torch::optim::AdamW optimizer(parameters, torch::optim::AdamWOptions(1e-4));

    for (int64_t epoch = 0; epoch < epochs; ++epoch) {
      tune(module, optimizer);
      module.save("tuned.pt");
    }
    // [guide]
  }
  check_went_on(started_twice("runs/script", [&] {
    // [guide]
    torch::jit::Module module = torch::jit::load("net.pt");
    std::vector<torch::Tensor> parameters;
    for (const torch::Tensor& parameter : module.parameters()) parameters.push_back(parameter);
    torch::optim::AdamW optimizer(parameters, torch::optim::AdamWOptions(1e-4));

    State state;
    state.add("module", module).add("optimizer", optimizer);
    CheckpointManager manager("runs/script",
                              CheckpointManagerOptions().every_n_epochs(1).keep_last(2));
    Progress progress;

    for (int64_t epoch = manager.resume(state, progress); epoch < epochs; ++epoch) {
      tune(module, optimizer);
      progress.epoch = epoch;
      manager.save_if_due(state, progress);
    }
    save_script(module, "tuned.pt");  // with its code, for whatever serves it
    // [guide]
    CHECK_FALSE(torch::equal(parameters[0], torch::ones({2, 2})));
  }));
}

TEST_CASE("integration: several processes, each with a part of the data") {
  const guide::EmptyFolder folder;
  const auto average_gradients = [](Net&) {};
  const auto train_rank = [&](Net& model, torch::optim::Optimizer& optimizer) {
    const auto loader = torch::data::make_data_loader(dataset(), kBatch);
    for (const Batch& batch : *loader) {
      optimizer.zero_grad();
      torch::nll_loss(model.forward(batch.data), batch.target).backward();
      average_gradients(model);
      optimizer.step();
    }
  };
  {
    const int rank = 0;
    // [guide]
    torch::manual_seed(0);
    auto model = std::make_shared<Net>();
    torch::optim::SGD optimizer(model->parameters(), 0.01);
    for (int64_t epoch = 0; epoch < epochs; ++epoch) {
      train_rank(*model, optimizer);
      if (rank == 0) torch::save(model, "model.pt");
    }
    // [guide]
  }
  constexpr int size = 2;
  for (const int64_t wanted : {2, 4}) {
    epochs = wanted;
    std::vector<int64_t> reached(size);
    // The processes of this test are threads.
    const auto errors = test::run_ranks(size, [&](int rank) {
      // [guide]
      torch::manual_seed(0);
      auto model = std::make_shared<Net>();
      torch::optim::SGD optimizer(model->parameters(), 0.01);

      State state;
      state.add("model", model).add("optimizer", optimizer);
      auto options = CheckpointManagerOptions().every_n_epochs(1).keep_last(2);
      options.coordinator(directory_coordinator("runs/ranks.talk", rank, size));
      CheckpointManager manager("runs/ranks", options);
      Progress progress;
      for (int64_t epoch = manager.resume(state, progress); epoch < epochs; ++epoch) {
        train_rank(*model, optimizer);
        progress.epoch = epoch;
        manager.save_if_due(state, progress);
      }
      // [guide]
      reached[static_cast<size_t>(rank)] = progress.epoch;
    });
    CHECK(errors == test::no_errors(size));
    CHECK(reached == std::vector<int64_t>(size, wanted - 1));
  }
  CheckpointManager manager("runs/ranks", CheckpointManagerOptions().read_only(true));
  check_went_on(manager.list());
}

TEST_CASE("Every snippet of the integration page is code of this test") {
  guide::check_page("integration.md", "integration_test.cpp");
}
