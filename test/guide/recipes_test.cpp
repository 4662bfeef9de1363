// The code of docs/recipes.md. The code between two [guide] marks is a snippet of the page. Each is
// interrupted, started again, and compared with a run that was left alone.

#include "guide/guide.h"
#include "support/catch.h"

#include <checkpoint/checkpoint.h>
#include <torch/torch.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <string>

using namespace checkpoint;

namespace {
namespace recipes {

constexpr int64_t kBatch = 4;

struct Killed {};

// How many steps a training may do before it is killed; negative: all.
int64_t steps_left = -1;

double train_step(torch::nn::Linear& model, torch::optim::Optimizer& optimizer,
                  const torch::Tensor& batch) {
  if (steps_left-- == 0) throw Killed();
  optimizer.zero_grad();
  const torch::Tensor noise = torch::randn({batch.size(0), 1});
  const torch::Tensor loss = torch::mse_loss(model(batch), batch.sum(1, true) + noise);
  loss.backward();
  optimizer.step();
  return loss.item<double>();
}

torch::Tensor data() { return torch::arange(88).view({22, 4}).to(torch::kFloat) / 88; }

// What `train` ends with, when it is killed after so many steps first; or never.
torch::Tensor result_of(const std::function<torch::nn::Linear()>& train, int64_t killed_after) {
  const guide::EmptyFolder folder;
  torch::manual_seed(1);
  steps_left = killed_after;
  if (killed_after >= 0) {
    CHECK_THROWS_AS(train(), Killed);
    torch::manual_seed(99);  // A new process.
    steps_left = -1;
  }
  return train()->weight;
}

void check_exact_resume(const std::function<torch::nn::Linear()>& train) {
  const torch::Tensor alone = result_of(train, -1);
  for (const int64_t killed_after : {3, 6, 7, 12, 13}) {
    CAPTURE(killed_after);
    CHECK(torch::equal(result_of(train, killed_after), alone));
  }
}

torch::nn::Linear train_from_one(int64_t epochs) {
  torch::nn::Linear model(4, 1);
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.01).momentum(0.9));
  State state;
  state.add("model", model).add("optimizer", optimizer);
  CheckpointManager manager("runs/from_one",
                            CheckpointManagerOptions().every_n_epochs(2).name("epoch{epoch:04d}"));
  // [guide]
  Progress progress;
  const int64_t first = manager.resume(state, progress) + 1;
  for (int64_t epoch = first; epoch <= epochs; ++epoch) {
    progress.epoch = epoch - 1;  // the library counts from 0
    progress.step += 1;
    progress.loss = train_step(model, optimizer, data());
    manager.save_if_due(state, progress);
  }
  // [guide]
  return model;
}

// [guide]
torch::nn::Linear train_in_batches(const torch::Tensor& examples, int64_t epochs) {
  torch::nn::Linear model(4, 1);
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.01).momentum(0.9));
  torch::Tensor order;  // of the epoch in hand
  int64_t next = 0;     // its first example that has not been trained on

  State state;
  state.add("model", model).add("optimizer", optimizer).add("order", order).add("next", next);
  CheckpointManager manager("runs/batches",
                            CheckpointManagerOptions().every_n_steps(3).keep_last(2));
  Progress progress;

  for (int64_t epoch = manager.resume(state, progress); epoch < epochs; ++epoch) {
    if (next == 0) order = torch::randperm(examples.size(0));
    progress.epoch = epoch;
    progress.epoch_done = false;
    while (next < examples.size(0)) {
      const torch::Tensor rows = order.slice(0, next, next + kBatch);
      progress.loss = train_step(model, optimizer, examples.index_select(0, rows));
      progress.step += 1;
      next += rows.size(0);
      manager.save_if_due(state, progress);
    }
    next = 0;
    progress.epoch_done = true;
    manager.save_if_due(state, progress);
  }
  return model;
}
// [guide]

// [guide]
// The last transitions of an agent; when it is full, the oldest one makes room.
struct ReplayBuffer {
  ReplayBuffer(int64_t capacity, int64_t features)
      : states(torch::zeros({capacity, features})),
        actions(torch::zeros({capacity}, torch::kLong)),
        rewards(torch::zeros({capacity})) {}

  void push(const torch::Tensor& state, int64_t action, double reward) {
    states[position].copy_(state);
    actions[position].fill_(action);
    rewards[position].fill_(reward);
    position = (position + 1) % states.size(0);
    size = std::min(size + 1, states.size(0));
  }
  // Which ones to learn from.
  torch::Tensor sample(int64_t count) const { return torch::randint(size, {count}, torch::kLong); }

  void add_to(State& state) {
    state.add("replay_states", states)
        .add("replay_actions", actions)
        .add("replay_rewards", rewards)
        .add("replay_position", position)
        .add("replay_size", size);
  }

  torch::Tensor states, actions, rewards;
  int64_t position = 0;
  int64_t size = 0;
};
// [guide]

// [guide]
struct Transition {
  torch::Tensor state;
  int64_t action = 0;
};

struct Memory {
  std::deque<Transition> transitions;

  Value state_dict() const {
    std::vector<torch::Tensor> states, actions;
    for (const Transition& transition : transitions) {
      states.push_back(transition.state);
      actions.push_back(torch::tensor(transition.action));
    }
    Dict saved;
    saved.insert("states", states.empty() ? torch::zeros({0, 1}) : torch::stack(states));
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

// An agent that learns after each step from what it remembers.
torch::nn::Linear train_agent(int64_t steps) {
  torch::nn::Linear model(4, 1);
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.01));
  ReplayBuffer buffer(/*capacity=*/6, /*features=*/4);
  Memory memory;
  State state;
  state.add("model", model).add("optimizer", optimizer).add("memory", memory);
  buffer.add_to(state);
  CheckpointManager manager("runs/agent", CheckpointManagerOptions().every_n_steps(3).keep_last(1));
  const auto restored = manager.restore_latest(state);
  Progress progress = restored ? restored->progress() : Progress();
  while (progress.step < steps) {
    buffer.push(torch::rand({4}), progress.step % 3, 0.5);
    memory.transitions.push_back({torch::rand({4}), progress.step});
    const torch::Tensor chosen = buffer.states.index_select(0, buffer.sample(kBatch));
    const torch::Tensor recent = memory.transitions.back().state.unsqueeze(0);
    train_step(model, optimizer,
               torch::cat({chosen, recent, memory.transitions[0].state.view({1, 4})}));
    progress.step += 1;
    manager.save_if_due(state, progress);
  }
  CHECK(buffer.size == 6);
  CHECK(buffer.position == steps % 6);
  CHECK(buffer.actions[(steps - 1) % 6].item<int64_t>() == (steps - 1) % 3);
  CHECK(memory.transitions.size() == static_cast<size_t>(steps));
  CHECK(memory.transitions.back().action == steps - 1);
  return model;
}

}  // namespace recipes
}  // namespace

TEST_CASE("recipe: epochs counted from 1") {
  {
    const guide::EmptyFolder folder;
    recipes::steps_left = -1;
    recipes::train_from_one(4);
    CheckpointManager manager("runs/from_one");
    // When two and four epochs are done.
    REQUIRE(manager.list().size() == 2);
    CHECK(manager.list()[0].name == "epoch0001");
    CHECK(manager.list()[1].name == "epoch0003");
  }
  recipes::check_exact_resume([] { return recipes::train_from_one(16); });
}

TEST_CASE("recipe: in mid-epoch without a DataLoader") {
  // Six batches an epoch: after three and six steps a checkpoint, the second at the epoch's end.
  recipes::check_exact_resume([] { return recipes::train_in_batches(recipes::data(), 3); });
}

TEST_CASE("recipe: replay buffers") {
  recipes::check_exact_resume([] { return recipes::train_agent(16); });
}

TEST_CASE("Every snippet of the recipes is code of this test") {
  guide::check_page("recipes.md", "recipes_test.cpp");
}
