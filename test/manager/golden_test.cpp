// Checkpoints that other versions of LibTorch wrote must restore on this one, through this library
// and through plain LibTorch. Each directory in golden/ was written by the last test case here, on
// the version that it is named after:
//
//   CHECKPOINT_GOLDEN=test/golden/libtorch-X.Y manager_test "Write golden files"

#include "support/catch.h"
#include "support/models.h"

#include "compat/torch_compat.h"
#include "state/snapshot/capture.h"

#include <checkpoint/checkpoint.h>

#include <torch/torch.h>

#include <cstdlib>
#include <filesystem>
#include <set>

using namespace checkpoint;
using namespace torch::optim;
using test::same_bits;
namespace fs = std::filesystem;

namespace {

// A model and one optimizer of each class, with a state of numbers that need no arithmetic: it is
// the same on every version and machine.
struct World {
  explicit World(bool filled) {
    const torch::NoGradGuard no_grad;
    double start = 0;
    for (torch::Tensor& parameter : model->parameters())
      parameter.copy_(ramp(parameter, start += 1));
    for (torch::Tensor& buffer : model->buffers()) buffer.copy_(ramp(buffer, start += 1));
    if (filled) {
      fill();
    } else {
      for (torch::Tensor& parameter : model->parameters()) parameter.zero_();
    }
  }

  State state() {
    State result;
    result.rng(false)
        .add("model", model)
        .add("sgd", sgd)
        .add("adam", adam)
        .add("adamw", adamw)
        .add("rmsprop", rmsprop)
        .add("adagrad", adagrad)
        .add("lbfgs", lbfgs)
        .add("number", number)
        .add("text", text)
        .add("tree", tree);
    return result;
  }

  torch::nn::Sequential model{torch::nn::Linear(3, 2), torch::nn::BatchNorm1d(2)};
  SGD sgd{model->parameters(), SGDOptions(0.5)};
  Adam adam{model->parameters(), AdamOptions(0.5)};
  AdamW adamw{model->parameters(), AdamWOptions(0.5)};
  RMSprop rmsprop{model->parameters(), RMSpropOptions(0.5)};
  Adagrad adagrad{model->parameters(), AdagradOptions(0.5)};
  LBFGS lbfgs{model->parameters(), LBFGSOptions(0.5)};
  int64_t number = 0;
  std::string text;
  Value tree;

 private:
  static torch::Tensor ramp(const torch::Tensor& like, double start) {
    return (torch::arange(like.numel(), torch::kDouble) / 8 + start)
        .to(like.scalar_type())
        .reshape(like.sizes());
  }

  template <typename ParamState, typename OptimizerT, typename Fill>
  void fill_states(OptimizerT& optimizer, const Fill& fill) {
    double start = 10;
    for (const torch::Tensor& parameter : optimizer.param_groups()[0].params()) {
      auto state = std::make_unique<ParamState>();
      fill(*state, [&] { return ramp(parameter, start += 1); });
      optimizer.state()[compat::state_key(parameter)] = std::move(state);
    }
  }

  void fill() {
    set(sgd, SGDOptions(0.25).momentum(0.75).weight_decay(0.125).nesterov(true));
    fill_states<SGDParamState>(sgd, [](auto& s, auto next) { s.momentum_buffer(next()); });
    set(adam, AdamOptions(0.25).betas({0.5, 0.75}).eps(0.125).amsgrad(true));
    fill_states<AdamParamState>(adam, [](auto& s, auto next) {
      s.step(3).exp_avg(next()).exp_avg_sq(next()).max_exp_avg_sq(next());
    });
    set(adamw, AdamWOptions(0.25).weight_decay(0.5));
    fill_states<AdamWParamState>(
        adamw, [](auto& s, auto next) { s.step(4).exp_avg(next()).exp_avg_sq(next()); });
    set(rmsprop, RMSpropOptions(0.25).momentum(0.5).centered(true));
    fill_states<RMSpropParamState>(rmsprop, [](auto& s, auto next) {
      s.step(5).square_avg(next()).momentum_buffer(next()).grad_avg(next());
    });
    set(adagrad, AdagradOptions(0.25).lr_decay(0.125));
    fill_states<AdagradParamState>(adagrad, [](auto& s, auto next) { s.step(6).sum(next()); });
    fill_lbfgs();
    number = -1234567890123;
    text = "quo\"ted,\nü";
    tree = Value::List{1, 2.5, Tuple{{true, "x", Value()}}, torch::arange(4)};
  }

  void fill_lbfgs() {
    set(lbfgs, LBFGSOptions(0.25).max_iter(7).max_eval(9).history_size(2).line_search_fn(
                   std::string("strong_wolfe")));
    auto state = std::make_unique<LBFGSParamState>();
    const auto flat = [](double start) { return torch::arange(12, torch::kFloat) / 8 + start; };
    state->func_evals(8).n_iter(9).t(0.5).prev_loss(0.25);
    state->d(flat(1)).H_diag(torch::tensor(2.0F)).prev_flat_grad(flat(2));
    state->old_dirs({flat(3), flat(4)}).old_stps({flat(5), flat(6)});
    state->ro({torch::tensor(3.0F), torch::tensor(4.0F)});
    state->al(std::vector<torch::Tensor>{torch::tensor(5.0F), torch::tensor(6.0F)});
    lbfgs.state()[compat::state_key(lbfgs.param_groups()[0].params()[0])] = std::move(state);
  }

  template <typename OptimizerT, typename Options>
  static void set(OptimizerT& optimizer, const Options& options) {
    static_cast<Options&>(optimizer.param_groups()[0].options()) = options;
  }
};

bool equal(const Value& left, const Value& right);

bool equal(const std::vector<Value>& left, const std::vector<Value>& right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](const Value& a, const Value& b) { return equal(a, b); });
}

bool equal(const Dict& left, const Dict& right) {
  return std::equal(
      left.begin(), left.end(), right.begin(), right.end(),
      [](const auto& a, const auto& b) { return a.first == b.first && equal(a.second, b.second); });
}

bool equal(const Value& left, const Value& right) {
  if (left.kind() != right.kind()) return false;
  switch (left.kind()) {
    case Value::Kind::kNone:
      return true;
    case Value::Kind::kBool:
      return left.to_bool() == right.to_bool();
    case Value::Kind::kInt:
      return left.to_int() == right.to_int();
    case Value::Kind::kDouble:
      return left.to_double() == right.to_double();
    case Value::Kind::kComplex:
      return left.to_complex() == right.to_complex();
    case Value::Kind::kString:
      return left.to_string() == right.to_string();
    case Value::Kind::kTensor:
      return same_bits(left.to_tensor(), right.to_tensor());
    case Value::Kind::kList:
      return equal(left.list(), right.list());
    case Value::Kind::kTuple:
      return equal(left.tuple(), right.tuple());
    case Value::Kind::kDict:
      return equal(left.dict(), right.dict());
    case Value::Kind::kSize:
      return left.to_size() == right.to_size();
    case Value::Kind::kDtype:
      return left.to_dtype() == right.to_dtype();
    case Value::Kind::kDevice:
      return left.to_device() == right.to_device();
    case Value::Kind::kBytes:
      return left.to_bytes() == right.to_bytes();
    case Value::Kind::kBigInt:
      return left.to_big_int().bytes == right.to_big_int().bytes;
    case Value::Kind::kOpaque:
      return left.opaque().class_name == right.opaque().class_name &&
             equal(left.opaque().parts, right.opaque().parts);
  }
  return false;
}

Dict tree_of(World& world) { return state::capture(world.state(), {3, 30, 0.25}).tree.dict(); }

constexpr char kName[] = "golden";

std::vector<std::string> golden_directories() {
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(TORCH_CHECKPOINT_GOLDEN)) {
    // Python's files are in the same directory.
    if (entry.path().filename().string().rfind("libtorch-", 0) == 0) {
      paths.push_back(entry.path().string());
    }
  }
  return paths;
}

}  // namespace

TEST_CASE("There is a golden checkpoint of the oldest and of the newest LibTorch") {
  std::set<std::string> names;
  for (const std::string& path : golden_directories()) names.insert(fs::path(path).filename());
  CHECK(names.count("libtorch-1.13") == 1);
  CHECK(names.count("libtorch-2.14") == 1);
}

TEST_CASE("Checkpoints of every version restore on this one") {
  World expected(true);
  for (const std::string& path : golden_directories()) {
    INFO(path);
    World live(false);
    State state = live.state();
    CheckpointManager manager(path);
    manager.verify(kName);
    const Restored restored = manager.restore(state, kName);
    CHECK(restored.progress().epoch == 3);
    CHECK(equal(tree_of(live), tree_of(expected)));
  }
}

TEST_CASE("Plain LibTorch of this version reads checkpoints of every version") {
  World expected(true);
  const Dict expected_tree = tree_of(expected);
  for (const std::string& path : golden_directories()) {
    World live(false);
    torch::serialize::InputArchive archive;
    archive.load_from(path + "/" + kName + "/checkpoint.pt");
    torch::serialize::InputArchive model;
    archive.read("model", model);
    live.model->load(model);
    const std::map<std::string, Optimizer*> optimizers = {
        {"sgd", &live.sgd},         {"adam", &live.adam},       {"adamw", &live.adamw},
        {"rmsprop", &live.rmsprop}, {"adagrad", &live.adagrad}, {"lbfgs", &live.lbfgs}};
    for (const auto& [name, optimizer] : optimizers) {
      torch::serialize::InputArchive nested;
      archive.read(name, nested);
      optimizer->load(nested);
    }
    const Dict live_tree = tree_of(live);
    CHECK(equal(live_tree.at("model"), expected_tree.at("model")));
    for (const auto& entry : optimizers) {
      INFO(path << ", " << entry.first);
      // Not every version's own load restores the options.
      const auto state_in = [&](const Dict& tree) {
        return tree.at(entry.first).dict().at("state");
      };
      CHECK(equal(state_in(live_tree), state_in(expected_tree)));
    }
  }
}

TEST_CASE("Write golden files", "[.]") {
  const char* const directory = std::getenv("CHECKPOINT_GOLDEN");
  REQUIRE(directory != nullptr);
  World world(true);
  CheckpointManager manager(directory, CheckpointManagerOptions().name(kName));
  manager.save(world.state(), {3, 30, 0.25});
}
