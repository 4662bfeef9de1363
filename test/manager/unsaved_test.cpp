// What is trained and not saved: one warning at the first save.

#include "support/catch.h"
#include "support/error_of.h"
#include "support/temporary_directory.h"

#include <checkpoint/checkpoint.h>

#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <torch/torch.h>

#include <sstream>

using namespace checkpoint;
using torch::optim::SGDOptions;

namespace {

// The warnings of two saves.
std::string warnings_of(const State& state, bool async = false) {
  std::ostringstream text;
  auto logger = std::make_shared<spdlog::logger>(
      "torch_checkpoint", std::make_shared<spdlog::sinks::ostream_sink_mt>(text));
  logger->set_level(spdlog::level::warn);
  logger->set_pattern("[%l] %v");
  spdlog::register_logger(logger);
  const test::TemporaryDirectory root;
  {
    CheckpointManager manager(root.path(), CheckpointManagerOptions().async(async));
    manager.save(state, {0, 1});
    manager.save(state, {0, 2});
  }
  spdlog::drop("torch_checkpoint");
  return text.str();
}

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

// Two layers, of which one is registered.
struct Forgetful : torch::nn::Module {
  explicit Forgetful(bool register_first = true) : first(2, 2), second(2, 3) {
    if (register_first) register_module("first", first);
  }
  std::vector<torch::Tensor> all_parameters() const {
    std::vector<torch::Tensor> all = first->parameters();
    for (const torch::Tensor& parameter : second->parameters()) all.push_back(parameter);
    return all;
  }
  torch::nn::Linear first, second;
};

// An optimizer whose save and load are empty, as real ones are.
struct EmptySgd : torch::optim::SGD {
  using SGD::SGD;
  void save(torch::serialize::OutputArchive&) const override {}
  void load(torch::serialize::InputArchive&) override {}
};

// A module whose save writes copies of its tensors, or nothing.
struct OwnSave : torch::nn::Module {
  explicit OwnSave(bool writes) : writes_(writes) { x = register_parameter("x", torch::ones({2})); }
  void save(torch::serialize::OutputArchive& archive) const override {
    if (writes_) archive.write("mine", x.detach() * 2);
  }
  void load(torch::serialize::InputArchive&) override {}
  torch::Tensor forward(const torch::Tensor& y) { return x * y; }
  torch::Tensor x;
  bool writes_;
};

// An object that hands over copies.
struct Copying {
  Value state_dict() const {
    Dict state;
    state.insert("w", w.detach().clone());
    return state;
  }
  void load_state_dict(const Value&) {}
  torch::Tensor w = torch::ones({7}, torch::requires_grad());
};

}  // namespace

TEST_CASE("An optimizer over tensors that no item holds: one warning, at the first save") {
  Forgetful model;
  torch::optim::SGD optimizer(model.all_parameters(), 0.1);
  State state;
  state.add("model", model).add("o", optimizer);
  for (const bool async : {false, true}) {
    const std::string text = warnings_of(state, async);
    CAPTURE(text);
    CHECK(count(text, "[warning]") == 1);
    CHECK(contains(text,
                   "'o' trains 2 tensors that no item of the State holds, of the shapes [3, 2], "
                   "[3]: register them"));
  }
  // Once they have a place of their own, nothing is missing.
  state.add("second", model.second);
  CHECK(warnings_of(state).empty());
}

TEST_CASE("A module none of whose layers is registered") {
  Forgetful model(false);
  torch::optim::SGD optimizer(model.all_parameters(), 0.1);
  State state;
  state.add("model", model).add("o", optimizer);
  const std::string text = warnings_of(state);
  CAPTURE(text);
  CHECK(count(text, "[warning]") == 1);
  CHECK(contains(text, "'model' holds no parameters and no buffers: register"));
  CHECK(contains(text, "'o' trains 4 tensors"));
}

TEST_CASE("A save of an optimizer's own class that writes nothing") {
  torch::nn::Linear model(2, 2);
  EmptySgd optimizer(model->parameters(), SGDOptions(0.5).momentum(0.9));
  State state;
  state.add("model", model).add("o", optimizer);
  const std::string text = warnings_of(state);
  CAPTURE(text);
  CHECK(count(text, "[warning]") == 1);
  CHECK(contains(text, "the save() of 'o', of the class "));
  CHECK(contains(text, "EmptySgd, writes nothing: neither its state nor its options come back"));
  CHECK_FALSE(contains(text, "trains"));
}

TEST_CASE("A save of a module's own class that writes nothing, though it holds tensors") {
  torch::nn::Sequential empty(OwnSave(false)), full(OwnSave(true));
  torch::optim::SGD first(empty->parameters(), 0.1), second(full->parameters(), 0.1);
  State state;
  state.add("empty", empty).add("full", full).add("first", first).add("second", second);
  const std::string text = warnings_of(state);
  CAPTURE(text);
  CHECK(count(text, "[warning]") == 1);
  CHECK(contains(text, "the save() of 'empty.0' writes nothing: its 1 tensor does not come back"));
  CHECK_FALSE(contains(text, "full"));
  CHECK_FALSE(contains(text, "trains"));
}

TEST_CASE("What comes back gives no warning") {
  torch::nn::Linear model(2, 2);
  torch::Tensor by_reference = torch::ones({3}, torch::requires_grad());
  torch::Tensor flat = torch::ones({5}, torch::requires_grad());
  torch::Tensor part = flat.detach().narrow(0, 0, 2).requires_grad_();
  torch::Tensor frozen = torch::ones({11});
  Copying copying;
  Dict dict;
  dict.insert("flat", flat);
  Value tree = dict;
  std::vector<torch::Tensor> parameters = model->parameters();
  for (const torch::Tensor& tensor : {by_reference, flat, part, frozen, copying.w}) {
    parameters.push_back(tensor);
  }
  torch::optim::SGD optimizer(parameters, 0.1);
  State state;
  state.add("model", model).add("optimizer", optimizer).add("tensor", by_reference);
  state.add("tree", tree).add("copying", copying);
  CHECK(warnings_of(state).empty());
}
