#include "support/catch.h"
#include "support/error_of.h"
#include "support/models.h"
#include "support/temporary_directory.h"

#include <checkpoint/checkpoint.h>

#include <torch/torch.h>

#include <filesystem>
#include <fstream>

using namespace checkpoint;
namespace fs = std::filesystem;

namespace {

const CheckpointManagerOptions kPth =
    CheckpointManagerOptions().format(Format::kPth).name("e{epoch}");

struct Training {
  explicit Training(uint64_t seed) {
    torch::manual_seed(seed);
    // A name that no LibTorch archive can hold.
    model->push_back("class", torch::nn::Linear(3, 4));
    model->push_back("out", torch::nn::Linear(4, 2));
    optimizer =
        std::make_unique<torch::optim::Adam>(model->parameters(), torch::optim::AdamOptions(0.01));
    state.add("model", model).add("optimizer", *optimizer).add("best", best);
  }

  void step() {
    optimizer->zero_grad();
    model->forward(torch::rand({5, 3})).pow(2).mean().backward();
    optimizer->step();
    best += 1;
  }

  torch::nn::Sequential model;
  std::unique_ptr<torch::optim::Adam> optimizer;
  double best = 0;
  State state;
};

bool same(Training& left, Training& right) {
  const auto one = left.model->parameters();
  const auto other = right.model->parameters();
  for (size_t i = 0; i < one.size(); ++i) {
    if (!one[i].equal(other[i])) return false;
  }
  return left.best == right.best;
}

}  // namespace

TEST_CASE("A checkpoint as .pth is saved, verified, and restored bit for bit") {
  const test::TemporaryDirectory root;
  Training training(1);
  training.step();
  CheckpointManager manager(root / "run", kPth);
  const std::string name = manager.save(training.state, {0, 1, 0.5, {}});
  CHECK(fs::exists(root / ("run/" + name + "/checkpoint.pth")));
  CHECK_FALSE(fs::exists(root / ("run/" + name + "/checkpoint.pt")));
  CHECK_NOTHROW(manager.verify(name));

  Training again(2);
  CHECK_FALSE(same(training, again));
  // A manager reads both formats, whichever one it writes.
  CheckpointManager reader(root / "run", CheckpointManagerOptions().lock(false));
  REQUIRE(reader.restore_latest(again.state));
  CHECK(same(training, again));
  training.step();
  torch::manual_seed(7);
  training.step();
  torch::manual_seed(7);
  Training third(3);
  reader.restore(third.state, name);
  CHECK(third.best == 1);

  const Value tree = load(root / "run/latest");
  CHECK(tree.dict().at("epoch").to_int() == 0);
  CHECK(load_weights(root / "run/latest", torch::kCPU, "model").contains("class.weight"));
}

TEST_CASE("The random numbers go on after a restore from .pth") {
  const test::TemporaryDirectory root;
  Training training(1);
  CheckpointManager manager(root / "run", kPth);
  manager.save(training.state, {0, 1, 0.5, {}});
  training.step();
  Training again(2);
  manager.restore(again.state, "e0");
  again.step();
  CHECK(same(training, again));
}

TEST_CASE("A bit that is turned over in a .pth is found, and retention removes such checkpoints") {
  const test::TemporaryDirectory root;
  Training training(1);
  CheckpointManager manager(root / "run", CheckpointManagerOptions(kPth).keep_last(2));
  for (int64_t epoch = 0; epoch < 3; ++epoch) manager.save(training.state, {epoch, epoch, 0.5, {}});
  CHECK_FALSE(fs::exists(root / "run/e0"));
  const std::string path = root / "run/e2/checkpoint.pth";
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  const auto middle = static_cast<std::streamoff>(fs::file_size(path) / 2);
  file.seekg(middle);
  const int byte = file.get();
  file.seekp(middle);
  file.put(static_cast<char>(byte ^ 1));
  file.close();
  CHECK(contains(error_of([&] { manager.verify("e2"); }), "corrupt: "));
  const auto restored = manager.restore_latest(training.state);
  REQUIRE(restored);
  CHECK(restored->name() == "e1");
}

TEST_CASE("A directory may hold checkpoints of both formats") {
  const test::TemporaryDirectory root;
  test::Net net;
  State state;
  state.add("model", net);
  CheckpointManager(root / "run", CheckpointManagerOptions(kPth)).save(state, {0, 1, 0.5, {}});
  CheckpointManager manager(root / "run", CheckpointManagerOptions().name("e{epoch}"));
  manager.save(state, {1, 2, 0.5, {}});
  for (const char* name : {"e0", "e1"}) CHECK_NOTHROW(manager.restore(state, name));
}

TEST_CASE("A manager cannot write safetensors") {
  CHECK(contains(error_of([] {
                   CheckpointManager("x", CheckpointManagerOptions().format(Format::kSafetensors));
                 }),
                 "unsupported: "));
}

TEST_CASE("Tensors that overlap in memory of the user's own are saved in less than their sizes") {
  std::vector<float> memory(100000);
  for (size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<float>(i);
  torch::Tensor whole = torch::from_blob(memory.data(), {100000});
  torch::Tensor half = torch::from_blob(memory.data() + 50000, {50000});
  State state;
  state.add("whole", whole).add("half", half);
  const test::TemporaryDirectory root;
  CheckpointManager manager(root / "run", CheckpointManagerOptions(kPth).keep_last(1));
  for (const int epoch : {1, 2, 3}) manager.save(state, {epoch});
  CHECK(fs::file_size(root / "run/e3/checkpoint.pth") < 500000);
  manager.verify("e3");
  const torch::Tensor expected = whole.clone();
  whole.zero_();
  REQUIRE(manager.restore_latest(state));
  CHECK(whole.equal(expected));
}
