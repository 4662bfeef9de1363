#pragma once

#include "compat/torch_compat.h"

#include <checkpoint/checkpoint.h>

#include <torch/script.h>
#include <torch/torch.h>

#include <limits>
#include <memory>
#include <string>
#include <vector>

// Neither this namespace nor its classes may get other names: golden checkpoints know objects by
// them.
namespace kinds {

inline torch::Tensor ramp(c10::IntArrayRef sizes, double start) {
  int64_t count = 1;
  for (const int64_t size : sizes) count *= size;
  return (torch::arange(count, torch::kFloat) / 8 + start).reshape(sizes);
}

// Saves a count in addition to its parameters.
struct CountingImpl : torch::nn::Module {
  void save(torch::serialize::OutputArchive& archive) const override {
    Module::save(archive);
    archive.write("count", c10::IValue(count));
  }
  void load(torch::serialize::InputArchive& archive) override {
    Module::load(archive);
    c10::IValue value;
    archive.read("count", value);
    count = value.toInt();
  }
  torch::Tensor weight = register_parameter("weight", torch::zeros({2, 3}));
  int64_t count = 0;
};

// A plain module with tied weights, an odd name, and a child that saves itself.
struct NetImpl : torch::nn::Module {
  NetImpl() { b->weight = b->register_parameter("tied", a->weight); }
  torch::nn::Linear a = register_module("a/ü b", torch::nn::Linear(3, 2));
  torch::nn::Linear b = register_module("b", torch::nn::Linear(3, 2));
  torch::nn::BatchNorm1d norm = register_module("norm", torch::nn::BatchNorm1d(2));
  std::shared_ptr<CountingImpl> counting =
      register_module("counting", std::make_shared<CountingImpl>());
};

// An optimizer with a state of its own.
struct HeavyOptions : torch::optim::OptimizerCloneableOptions<HeavyOptions> {};
struct HeavyBall : torch::optim::Optimizer {
  explicit HeavyBall(const std::vector<torch::Tensor>& parameters)
      : Optimizer({torch::optim::OptimizerParamGroup(parameters)},
                  std::make_unique<HeavyOptions>()) {}
  torch::Tensor step(LossClosure = nullptr) override { return {}; }
  void save(torch::serialize::OutputArchive& archive) const override {
    archive.write("steps", c10::IValue(steps));
    archive.write("velocities", c10::IValue(velocities));
  }
  void load(torch::serialize::InputArchive& archive) override {
    c10::IValue value;
    archive.read("steps", value);
    steps = value.toInt();
    archive.read("velocities", value);
    velocities = value.to<c10::Dict<int64_t, torch::Tensor>>();
  }
  int64_t steps = 0;
  c10::Dict<int64_t, torch::Tensor> velocities;
};

// Saves values of many types by LibTorch's archives.
struct Archived {
  void save(torch::serialize::OutputArchive& archive) const {
    archive.write("numbers", c10::IValue(numbers));
    archive.write("names", c10::IValue(names));
    archive.write("device", c10::IValue(device));
    archive.write("tensor", tensor);
    torch::serialize::OutputArchive inner(archive.compilation_unit());
    inner.write("tensor", tensor);
    archive.write("inner", inner);
  }
  void load(torch::serialize::InputArchive& archive) {
    c10::IValue value;
    archive.read("numbers", value);
    numbers = value.to<c10::Dict<std::string, c10::List<int64_t>>>();
    archive.read("names", value);
    names = value.to<c10::List<std::string>>();
    archive.read("device", value);
    device = value.toDevice();
    archive.read("tensor", tensor);
  }
  c10::Dict<std::string, c10::List<int64_t>> numbers;
  c10::List<std::string> names;
  c10::Device device{"cuda:1"};
  torch::Tensor tensor = torch::zeros({2});
};

// Hands over a state_dict.
struct Average {
  checkpoint::Value state_dict() const {
    checkpoint::Dict state;
    state.insert("mean", mean);
    state.insert("count", count);
    return state;
  }
  void load_state_dict(const checkpoint::Value& saved) {
    mean.copy_(saved.dict().at("mean").to_tensor());
    count = saved.dict().at("count").to_int();
  }
  torch::Tensor mean = torch::zeros({3});
  int64_t count = 0;
};

inline torch::jit::Module make_script() {
  torch::jit::Module inner("Inner"), module("M");
  inner.register_parameter("weight", torch::zeros({2}), false);
  module.register_parameter("weight", torch::zeros({2, 2}), false);
  module.register_buffer("scale", torch::zeros({2}));
  module.register_module("inner", inner);
  module.register_attribute("name", c10::StringType::get(), "");
  module.register_attribute("sizes", c10::ListType::ofInts(), c10::List<int64_t>({9}));
  return module;
}

/// One of every kind of item, empty, or filled with numbers that need no arithmetic: the same on
/// every version and machine.
struct EveryKind {
  explicit EveryKind(bool filled) {
    if (filled) fill();
  }

  /// `with_plateau` adds the scheduler that LibTorch 1.13 lacks.
  checkpoint::State state([[maybe_unused]] bool with_plateau) {
    checkpoint::State result;
    result.add("net", net)
        .add("script", script)
        .add("sgd", sgd)
        .add("heavy ball", heavy_ball)
        .add("step_lr", step_lr)
        .add("resumable", resumable)
        .add("sequential", sequential)
        .add("archived", archived)
        .add("average", average)
        .add("flag", flag)
        .add("huge", huge)
        .add("long", long_number)
        .add("infinite", infinite)
        .add("view", view)
        .add("tree", tree);
#if TORCH_CHECKPOINT_HAS_PLATEAU
    if (with_plateau) result.add("plateau", plateau);
#endif
    return result;
  }

  std::shared_ptr<NetImpl> net = std::make_shared<NetImpl>();
  torch::jit::Module script = make_script();
  torch::optim::SGD sgd{net->parameters(), torch::optim::SGDOptions(0.5)};
  HeavyBall heavy_ball{net->parameters()};
  torch::optim::StepLR step_lr{sgd, 2, 0.5};
#if TORCH_CHECKPOINT_HAS_PLATEAU
  torch::optim::ReduceLROnPlateauScheduler plateau{sgd};
#endif
  checkpoint::ResumableSampler resumable = checkpoint::ResumableSampler::shuffled(10, UINT64_MAX);
  torch::data::samplers::SequentialSampler sequential{20};
  Archived archived;
  Average average;
  bool flag = false;
  uint64_t huge = 0;
  long double long_number = 0;
  float infinite = 0;
  torch::Tensor view = torch::zeros({2, 2});
  checkpoint::Value tree;

 private:
  void fill() {
    const torch::NoGradGuard no_grad;
    double start = 0;
    for (torch::Tensor& tensor : net->parameters()) tensor.copy_(ramp(tensor.sizes(), start += 1));
    net->norm->running_mean.copy_(ramp({2}, 100));
    net->norm->eval();
    net->a->bias.requires_grad_(false);
    net->counting->count = 7;
    for (auto tensor : script.parameters()) tensor.copy_(ramp(tensor.sizes(), start += 1));
    script.attr("scale").toTensor().copy_(ramp({2}, 200));
    script.setattr("name", "script");
    script.setattr("sizes", c10::List<int64_t>());
    heavy_ball.steps = 3;
    heavy_ball.velocities.insert(1, ramp({2}, 300));
    for (int i = 0; i < 3; ++i) step_lr.step();
#if TORCH_CHECKPOINT_HAS_PLATEAU
    for (int i = 0; i < 3; ++i) plateau.step(static_cast<float>(i) + 0.5F);
#endif
    resumable.set_epoch(2);
    resumable.reset();
    resumable.next(4);
    resumable.advance(3);
    sequential.next(6);
    archived.numbers.insert("a", c10::List<int64_t>({1, 2}));
    archived.numbers.insert("empty", c10::List<int64_t>());
    archived.names.push_back("x");
    archived.device = c10::Device(c10::kCPU);
    archived.tensor = ramp({2}, 400);
    average.mean.copy_(ramp({3}, 500));
    average.count = 4;
    flag = true;
    huge = std::numeric_limits<uint64_t>::max();
    long_number = 1 + std::numeric_limits<long double>::epsilon();
    infinite = -std::numeric_limits<float>::infinity();
    view = ramp({4, 4}, 600).slice(0, 1, 3).t().slice(0, 1, 3);
    tree = make_tree();
  }

  static checkpoint::Value make_tree() {
    checkpoint::Dict numbers, tree, dtypes;
    numbers.insert(checkpoint::Key(int64_t{-5}), "minus five");
    numbers.insert(checkpoint::Key(int64_t{7}),
                   checkpoint::Value::List{checkpoint::Value(), false});
    tree.insert("by number", checkpoint::Value::List{numbers});
    tree.insert("complex", c10::complex<double>(0.5, -2));
    tree.insert("nan", std::numeric_limits<double>::quiet_NaN());
    tree.insert("nothing", checkpoint::Tuple{});
    tree.insert("", "the empty name");
    tree.insert("a.dotted\tname", 1);
    tree.insert("scalar", torch::tensor(4.5));
    tree.insert("no elements", torch::zeros({2, 0, 3}));
    for (const auto dtype :
         {torch::kUInt8, torch::kInt8, torch::kInt16, torch::kInt32, torch::kInt64, torch::kFloat16,
          torch::kFloat64, torch::kBFloat16, torch::kBool, torch::kComplexHalf,
          torch::kComplexFloat, torch::kComplexDouble}) {
      dtypes.insert(c10::toString(dtype), ramp({5}, -0.25).to(dtype));
    }
    tree.insert("dtypes", dtypes);
    return tree;
  }
};

}  // namespace kinds
