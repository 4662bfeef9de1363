// The code of docs/guide.md, and the errors it quotes. The code between two [guide] marks is a
// snippet of the guide, and the last test compares them.

#include "guide/guide.h"
#include "support/catch.h"

#include <checkpoint/checkpoint.h>
#include <torch/torch.h>

#include <algorithm>
#include <string>
#include <vector>

using namespace checkpoint;

namespace {

// [guide]
struct NetImpl : torch::nn::Module {
  explicit NetImpl(int64_t classes = 10) {
    encoder = register_module(
        "encoder", torch::nn::Sequential(torch::nn::Linear(20, 32), torch::nn::BatchNorm1d(32),
                                         torch::nn::ReLU()));
    head = register_module("head", torch::nn::Linear(32, classes));
  }
  torch::Tensor forward(torch::Tensor x) { return head(encoder->forward(x)); }

  torch::nn::Sequential encoder{nullptr};
  torch::nn::Linear head{nullptr};
};
TORCH_MODULE(Net);
// [guide]

double train_one_epoch(Net& net, torch::optim::Optimizer& optimizer) {
  net->train();
  const torch::Tensor x = torch::randn({64, 20});
  optimizer.zero_grad();
  const torch::Tensor loss = torch::nn::functional::cross_entropy(net(x), x.argmax(1) % 2);
  loss.backward();
  optimizer.step();
  return loss.item<double>();
}

double validate(Net& net) {
  const torch::NoGradGuard no_grad;
  net->eval();
  const torch::Tensor x = torch::randn({64, 20});
  return net(x).argmax(1).eq(x.argmax(1) % 2).to(torch::kDouble).mean().item<double>();
}

// [guide]
void train(int64_t epochs, torch::Device device) {
  Net net;
  net->to(device);
  torch::optim::AdamW optimizer(net->parameters(), torch::optim::AdamWOptions(1e-3));
  torch::optim::StepLR scheduler(optimizer, /*step_size=*/10, /*gamma=*/0.5);
  double best_accuracy = 0;

  State state;
  state.add("model", net)
      .add("optimizer", optimizer)
      .add("scheduler", scheduler)
      .add("best_accuracy", best_accuracy);
  CheckpointManager manager("runs/guide", CheckpointManagerOptions()
                                              .every_n_epochs(2)
                                              .keep_last(3)
                                              .keep_best(1, "accuracy", Mode::kMax)
                                              .name("epoch{epoch:04d}-accuracy{accuracy:.3f}"));

  Progress progress;
  for (int64_t epoch = manager.resume(state, progress); epoch < epochs; ++epoch) {
    progress.epoch = epoch;
    progress.step += 1;
    progress.loss = train_one_epoch(net, optimizer);
    progress.metrics["accuracy"] = validate(net);
    best_accuracy = std::max(best_accuracy, progress.metrics["accuracy"]);
    scheduler.step();
    manager.save_if_due(state, progress);
  }
  manager.save_final(state, progress);  // epochs that are newer than the last checkpoint
}
// [guide]

}  // namespace

TEST_CASE("guide: weights are saved and loaded") {
  const guide::EmptyFolder folder;
  Net net;
  // [guide]
  checkpoint::save(checkpoint::state_dict(*net), "net.pth");

  Net again;
  checkpoint::load_state_dict(*again, "net.pth");
  again->eval();  // before inference: BatchNorm and Dropout behave as in training otherwise
  // [guide]
  net->eval();
  const torch::Tensor x = torch::randn({4, 20});
  CHECK(torch::equal(net(x), again(x)));
}

TEST_CASE("guide: a tree of values in one file") {
  const guide::EmptyFolder folder;
  Net net;
  // [guide]
  checkpoint::Dict config;
  config.insert("hidden", 32);
  config.insert("labels", checkpoint::Value::List{"cat", "dog"});
  checkpoint::Dict everything;
  everything.insert("config", config);
  everything.insert("mean", torch::tensor({0.1, 0.2}));
  checkpoint::save(everything, "extras.pth");

  const checkpoint::Value loaded = checkpoint::load("extras.pth", torch::kCPU);
  const int64_t hidden = loaded.dict().at("config").dict().at("hidden").to_int();
  const torch::Tensor mean = loaded.dict().at("mean").to_tensor();
  // [guide]
  CHECK(hidden == 32);
  CHECK(mean.numel() == 2);
}

TEST_CASE("guide: a checkpoint from FSDP") {
  const guide::EmptyFolder folder;
  Net net;
  Dict saved;
  for (const auto& entry : state_dict(*net)) saved.insert(entry.key(), entry.value() + 1);
  save(Dict{{"model", saved}}, "fsdp/step-1000", SaveOptions().format(Format::kDcp));
  // [guide]
  checkpoint::load_state_dict(*net, "fsdp/step-1000", {}, "model");
  // [guide]
  CHECK(torch::equal(net->head->bias, saved.at("head.bias").to_tensor()));
  // [guide]
  checkpoint::Dict state;
  state.insert("epoch", 3);
  state.insert("scale", torch::tensor(0.5));
  checkpoint::save(state, "for-python", checkpoint::SaveOptions().format(checkpoint::Format::kDcp));
  // [guide]
  CHECK(load("for-python")["epoch"].to_int() == 3);
}

TEST_CASE("guide: map_location") {
  const guide::EmptyFolder folder;
  Net net;
  checkpoint::save(checkpoint::state_dict(*net), "net.pth");
  {
    State state;
    state.add("model", net);
    CheckpointManager("runs/guide").save(state, {0, 1});
  }
  const torch::Device device = torch::cuda::is_available() ? torch::kCUDA : torch::kCPU;
  // [guide]
  auto weights = checkpoint::load_weights("net.pth", device);  // all of it to one device
  weights = checkpoint::load_weights("net.pth", checkpoint::MapLocation({{"cuda:1", device}}));

  State state;
  state.add("model", net);
  CheckpointManager manager("runs/guide");
  manager.restore_latest(state);  // where the live tensors are
  manager.restore_latest(state, RestoreOptions().map_location(device));  // as after net->to(device)
  // [guide]
  CHECK(net->parameters().front().device().type() == device.type());
  CHECK(weights.size() == checkpoint::state_dict(*net).size());
}

TEST_CASE("guide: strict or not, fine-tuning") {
  const guide::EmptyFolder folder;
  Net net;
  checkpoint::save(checkpoint::state_dict(*net), "net.pth");
  // [guide]
  Net tuned(/*classes=*/3);  // another head
  const auto weights = checkpoint::load_weights("net.pth", torch::kCPU);
  const auto report = checkpoint::load_state_dict(*tuned, weights, checkpoint::Strict::kNo);
  for (const std::string& line : report.mismatched) std::printf("new weights: %s\n", line.c_str());

  for (auto& parameter : tuned->encoder->parameters()) parameter.requires_grad_(false);
  torch::optim::SGD optimizer(tuned->head->parameters(), torch::optim::SGDOptions(0.01));
  // [guide]
  CHECK(report.mismatched.size() == 2);
  CHECK(torch::equal(net->parameters().front(), tuned->parameters().front()));

  // [guide]
  checkpoint::RestoreOptions options;
  options.rename("module.", "").exclude({"head.*"}).strict(checkpoint::Strict::kNo);
  // [guide]
  StateDict prefixed;
  for (const auto& entry : checkpoint::state_dict(*net)) {
    prefixed.insert("module." + entry.key(), entry.value());
  }
  Net renamed;
  checkpoint::load_state_dict(*renamed, prefixed, options);
  CHECK(torch::equal(net->encoder->parameters().front(), renamed->encoder->parameters().front()));
  CHECK(!torch::equal(net->head->weight, renamed->head->weight));

  CHECK(guide::quotes([&] { checkpoint::load_state_dict(*tuned, weights); }));
}

TEST_CASE("guide: a training run that resumes") {
  const guide::EmptyFolder folder;
  torch::manual_seed(1);
  train(4, torch::kCPU);
  train(8, torch::kCPU);
  CheckpointManager manager("runs/guide");
  REQUIRE(manager.latest());
  CHECK(manager.latest()->manifest.progress.epoch == 7);
  CHECK(manager.latest()->manifest.parent == manager.list()[manager.list().size() - 3].name);
}

TEST_CASE("guide: several models in one file") {
  const guide::EmptyFolder folder;
  Net generator, discriminator;
  torch::optim::Adam generator_optimizer(generator->parameters());
  torch::optim::Adam discriminator_optimizer(discriminator->parameters());
  // [guide]
  State state;
  state.add("generator", generator)
      .add("discriminator", discriminator)
      .add("generator_optimizer", generator_optimizer)
      .add("discriminator_optimizer", discriminator_optimizer);
  // [guide]
  CheckpointManager("runs/guide").save(state, {0, 1});
  // [guide]
  State evaluated;  // the generator alone: what else the file holds is left alone
  evaluated.add("generator", generator).rng(false);
  CheckpointManager follower("runs/guide", CheckpointManagerOptions().read_only(true));
  const auto restored = follower.restore_latest(evaluated);
  // [guide]
  REQUIRE(restored);
  CHECK(restored->report.ignored_items.size() >= 3);
}

TEST_CASE("guide: sharing") {
  const guide::EmptyFolder folder;
  Net net;
  // [guide]
  checkpoint::save(checkpoint::state_dict(*net), "net.safetensors");
  // [guide]
  CHECK(checkpoint::load_weights("net.safetensors").size() == checkpoint::state_dict(*net).size());
}

TEST_CASE("guide: a model from the hub") {
  const guide::EmptyFolder folder;
  Net net;
  // [guide]
  checkpoint::save(checkpoint::state_dict(*net), "llm/model.safetensors",
                   SaveOptions().max_shard_size(2'000));  // in earnest 5'000'000'000

  checkpoint::load_state_dict(*net, "llm");  // the directory, as it was downloaded
  // [guide]
  Net again;
  checkpoint::load_state_dict(*again, "llm/model.safetensors.index.json");
  CHECK(again->head->weight.equal(net->head->weight));
}

TEST_CASE("guide: go on in Python, and back") {
  const guide::EmptyFolder folder;
  {
    Net net;
    torch::optim::AdamW optimizer(net->parameters(), torch::optim::AdamWOptions(0.25));
    torch::optim::StepLR scheduler(optimizer, 10, 0.5);
    train_one_epoch(net, optimizer);
    scheduler.step();
    State state;
    state.add("model", net).add("optimizer", optimizer).add("scheduler", scheduler);
    CheckpointManager("runs/guide", CheckpointManagerOptions().format(Format::kPth))
        .save(state, {});
    std::filesystem::copy("runs/guide/latest/checkpoint.pth", "from_python.pth");
  }
  // [guide]
  Net net;
  torch::optim::AdamW optimizer(net->parameters(), torch::optim::AdamWOptions(1e-3));
  const checkpoint::Value python = checkpoint::load("from_python.pth", torch::kCPU);
  checkpoint::load_state_dict(*net, "from_python.pth", {}, "model");
  checkpoint::load_optimizer_state_dict(optimizer, python["optimizer"]);

  torch::optim::StepLR scheduler(optimizer, /*step_size=*/10, /*gamma=*/0.5);
  checkpoint::load_scheduler_state_dict(scheduler, python["scheduler"]);
  // [guide]
  CHECK(optimizer.param_groups()[0].options().get_lr() == 0.25);
  CHECK(checkpoint::scheduler_state_dict(scheduler, optimizer)["last_epoch"].to_int() == 0);
}

TEST_CASE("guide: the pitfalls and what they say") {
  const guide::EmptyFolder folder;
  Net net;
  checkpoint::save(checkpoint::state_dict(*net), "net.pth");

  SECTION("a key that the file lacks") {
    StateDict weights = checkpoint::load_weights("net.pth", torch::kCPU);
    StateDict old;
    for (const auto& entry : weights) {
      const bool is_head = entry.key().rfind("head.", 0) == 0;
      old.insert(is_head ? "classifier." + entry.key().substr(5) : entry.key(), entry.value());
    }
    CHECK(guide::quotes([&] { checkpoint::load_state_dict(*net, old); }));
  }
  SECTION("another optimizer") {
    torch::optim::Adam adam(net->parameters());
    torch::optim::SGD sgd(net->parameters(), torch::optim::SGDOptions(0.1));
    State saved, live;
    saved.add("model", net).add("optimizer", adam);
    CheckpointManager manager("runs/guide", CheckpointManagerOptions().name("first"));
    manager.save(saved, {0, 1});
    live.add("model", net).add("optimizer", sgd);
    CHECK(guide::quotes([&] { manager.restore_latest(live); }));
  }
  SECTION("a second run in the same directory") {
    State state;
    state.add("model", net);
    CheckpointManager first("runs/guide"), second("runs/guide");
    first.save(state, {0, 1});
    CHECK(guide::quotes([&] { second.save(state, {0, 1}); }));
  }
  SECTION("an optimizer built before the model moved") {
    // Only a real second device shows the fault in training; that the state follows is shown here.
    torch::optim::Adam adam(net->parameters());
    train_one_epoch(net, adam);
    State state;
    state.add("model", net).add("optimizer", adam);
    CheckpointManager manager("runs/guide");
    manager.save(state, {0, 1});
    manager.restore_latest(state, RestoreOptions().map_location(torch::kCPU));
    train_one_epoch(net, adam);
  }
}

TEST_CASE("Every snippet of the guide is code of this test") {
  std::vector<std::string> shown = guide::snippets_of_the_guide();
  std::vector<std::string> built = guide::snippets_of(TORCH_CHECKPOINT_GUIDE_TEST);
  // Each in its own order: the guide tells a story, a program declares first.
  std::sort(shown.begin(), shown.end());
  std::sort(built.begin(), built.end());
  REQUIRE(shown.size() == built.size());
  for (size_t i = 0; i < shown.size(); ++i) CHECK(shown[i] == built[i]);
}
