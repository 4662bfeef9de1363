// Optimizers and schedulers in Python's form: what Python 2.14 wrote, and what this library writes
// for it. test/python does the same with a live Python.

#include "compat/torch_compat.h"
#include "state/forms/optimizer_tree.h"
#include "support/catch.h"
#include "support/error_of.h"
#include "support/temporary_directory.h"

#include <checkpoint/checkpoint.h>

#include <torch/torch.h>

#include <cfloat>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

using namespace checkpoint;
using torch::optim::Optimizer;

namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();
const std::string kOptimizers = std::string(TORCH_CHECKPOINT_GOLDEN) + "/python-2.14/optimizers/";

const std::vector<std::string> kCases = {
    "sgd",         "sgd_momentum", "adam",        "adam_amsgrad", "adam_tensor_lr", "adamw",
    "adamw_fused", "rmsprop",      "rmsprop_all", "adagrad",      "lbfgs",          "lbfgs_wolfe"};

torch::nn::Sequential small_net() {
  torch::manual_seed(5);
  return torch::nn::Sequential(torch::nn::Linear(3, 4), torch::nn::Tanh(), torch::nn::Linear(4, 1));
}

bool begins(const std::string& text, const char* with) { return text.rfind(with, 0) == 0; }

// The class of the case, with other options than the file's: the file must bring them.
std::unique_ptr<Optimizer> optimizer_of(const std::string& name, torch::nn::Sequential& model) {
  using namespace torch::optim;
  if (begins(name, "sgd")) return std::make_unique<SGD>(model->parameters(), SGDOptions(0.5));
  if (begins(name, "adamw")) return std::make_unique<AdamW>(model->parameters());
  if (begins(name, "adam")) return std::make_unique<Adam>(model->parameters());
  if (begins(name, "rmsprop")) return std::make_unique<RMSprop>(model->parameters());
  if (begins(name, "adagrad")) return std::make_unique<Adagrad>(model->parameters());
  return std::make_unique<LBFGS>(model->parameters());
}

void train_on(torch::nn::Sequential& model, Optimizer& optimizer, size_t begin, size_t end) {
  const Value data = load(kOptimizers + "data.pth");
  for (size_t i = begin; i < end; ++i) {
    const at::Tensor inputs = data[i][0].to_tensor(), targets = data[i][1].to_tensor();
    optimizer.step([&] {
      optimizer.zero_grad();
      const at::Tensor loss = (model->forward(inputs) - targets).square().mean();
      loss.backward();
      return loss;
    });
  }
}

void load_weights_into(torch::nn::Sequential& model, const Value& weights) {
  StateDict dict;
  for (const auto& [key, tensor] : weights.dict()) dict.insert(to_string(key), tensor.to_tensor());
  load_state_dict(*model, dict);
}

// The largest distance of two tensors of float32, in units of the last place.
int64_t ulps(const at::Tensor& left, const at::Tensor& right) {
  const auto ordered = [](float number) {
    int32_t bits = 0;
    std::memcpy(&bits, &number, sizeof bits);
    return bits < 0 ? int64_t{INT32_MIN} - bits : int64_t{bits};
  };
  const at::Tensor one = left.detach().contiguous(), other = right.detach().contiguous();
  int64_t most = 0;
  for (int64_t i = 0; i < one.numel(); ++i) {
    most = std::max(
        most, std::abs(ordered(one.data_ptr<float>()[i]) - ordered(other.data_ptr<float>()[i])));
  }
  return most;
}

double as_double(const Value& value) {
  return value.is_tensor() ? value.to_tensor().item<double>() : value.to_double();
}

// Returns what differs between a form that Python wrote and ours: keys and their order, kinds, and
// numbers.
std::string form_difference(const Value& python, const Value& ours, const std::string& path) {
  using Kind = Value::Kind;
  const bool are_numbers = (python.kind() == Kind::kInt || python.kind() == Kind::kDouble) &&
                           (ours.kind() == Kind::kInt || ours.kind() == Kind::kDouble);
  if (are_numbers) return python.to_double() == ours.to_double() ? "" : path + ": another number";
  if (python.kind() != ours.kind()) return path + ": " + kind_text(python) + ", " + kind_text(ours);
  if (python.is_tensor()) {
    const at::Tensor &one = python.to_tensor(), &other = ours.to_tensor();
    const bool same = one.scalar_type() == other.scalar_type() && one.equal(other);
    return same ? "" : path + ": another tensor";
  }
  if (python.kind() == Kind::kList) {
    if (python.list().size() != ours.list().size()) return path + ": another size";
    for (size_t i = 0; i < python.list().size(); ++i) {
      const std::string found =
          form_difference(python.list()[i], ours.list()[i], path + '.' + std::to_string(i));
      if (!found.empty()) return found;
    }
  }
  if (!python.is_dict()) return "";
  std::string keys, our_keys;
  for (const auto& [key, value] : python.dict()) {
    if (to_string(key) != "al") keys += to_string(key) + ' ';
  }
  for (const auto& [key, value] : ours.dict()) our_keys += to_string(key) + ' ';
  const bool is_state = path.find(".state.") != std::string::npos;  // There, no order matters.
  const bool same_keys = is_state ? keys.size() == our_keys.size() : keys == our_keys;
  if (!same_keys) return path + ": " + keys + "| " + our_keys;
  for (const auto& [key, value] : python.dict()) {
    if (to_string(key) == "al") continue;
    const Value* const other = ours.dict().find(key);
    const std::string at = path + '.' + to_string(key);
    if (other == nullptr) return at + ": missing";
    const std::string found = form_difference(value, *other, at);
    if (!found.empty()) return found;
  }
  return "";
}

Value& at_path(Value& tree, const std::vector<Key>& keys) {
  Value* value = &tree;
  for (const Key& key : keys) {
    value = value->kind() == Value::Kind::kList
                ? &value->list().at(static_cast<size_t>(std::get<int64_t>(key)))
                : value->dict().find(key);
    REQUIRE(value != nullptr);
  }
  return *value;
}

// A model with an optimizer that has made two steps.
struct Trained {
  explicit Trained(const std::string& name) : optimizer(optimizer_of(name, model)) {
    train_on(model, *optimizer, 0, 2);
  }
  Value python() const { return optimizer_state_dict(*optimizer); }
  std::string load_error(const Value& tree) {
    return error_of([&] { load_optimizer_state_dict(*optimizer, tree); });
  }

  torch::nn::Sequential model = small_net();
  std::unique_ptr<Optimizer> optimizer;
};

Value with_text_keys(const Value& python, bool params_too) {
  Value tree = python;
  Dict states;
  for (const auto& [key, value] : tree["state"].dict()) states.insert(to_string(key), value);
  *tree.dict().find(std::string("state")) = states;
  if (!params_too) return tree;
  at_path(tree, {"param_groups", int64_t{0}, "params"}) = Value::List{"0", "1", "2", "3"};
  return tree;
}

}  // namespace

TEST_CASE("what Python's optimizers began goes on with the same numbers", "[python]") {
  for (const std::string& name : kCases) {
    INFO(name);
    const Value saved = load(kOptimizers + name + ".pth");
    torch::nn::Sequential model = small_net();
    load_weights_into(model, saved["model_at_4"]);
    const auto optimizer = optimizer_of(name, model);
    load_optimizer_state_dict(*optimizer, saved["optimizer_at_4"]);
    train_on(model, *optimizer, 4, 6);
    const Value wanted = load(kOptimizers + name + "_model_at_6.pth");
    int64_t most = 0;
    double relative = 0;
    for (const auto& parameter : model->named_parameters()) {
      const at::Tensor python = wanted[parameter.key()].to_tensor();
      most = std::max(most, ulps(parameter.value(), python));
      const at::Tensor difference = (parameter.value() - python).abs().max() / python.abs().max();
      relative = std::max(relative, difference.item<double>());
    }
    INFO(most << " ulp, relative " << relative);
    // LibTorch's line search rounds otherwise: from the same start, four steps differ by 1e-4.
    CHECK((name == "lbfgs_wolfe" ? relative < 1e-4 : most <= 1));
    // Python's Adam adds with lerp, LibTorch's does not. All others have the same bits.
    if (!begins(name, "adam") && name != "lbfgs_wolfe") CHECK(most == 0);
  }
}

TEST_CASE("an optimizer's form for Python is the one that Python writes", "[python]") {
  for (const std::string& name : kCases) {
    INFO(name);
    Value python = load(kOptimizers + name + ".pth")["optimizer_at_4"];
    torch::nn::Sequential model = small_net();
    const auto optimizer = optimizer_of(name, model);
    load_optimizer_state_dict(*optimizer, python);
    // What LibTorch does not have, or has as another kind.
    Value& group = at_path(python, {"param_groups", int64_t{0}});
    if (name == "adamw_fused") *group.dict().find(std::string("fused")) = Value();
    Value& lr = *group.dict().find(std::string("lr"));
    lr = as_double(lr);
    CHECK(form_difference(python, optimizer_state_dict(*optimizer), "") == "");
  }
}

TEST_CASE("a saved optimizer changes its form without the live one", "[python]") {
  const test::TemporaryDirectory root;
  for (const Format format : {Format::kArchive, Format::kPth}) {
    for (const std::string& name : kCases) {
      INFO(name);
      Trained trained(name);
      State state;
      state.add("model", trained.model).add("optimizer", *trained.optimizer);
      CheckpointManager manager(root / "run", CheckpointManagerOptions().format(format));
      const std::string path = root / ("run/" + manager.save(state, {}));
      const Value tree = load(path);
      const Value python = with_optimizer_form(tree, OptimizerForm::kPython, path)["optimizer"];
      Value wanted = trained.python();
      if (format == Format::kPth) {
        CHECK(form_difference(wanted["param_groups"], tree["optimizer"]["param_groups"], "") == "");
        for (const auto& [key, entry] : tree["optimizer"]["state"].dict()) {
          CHECK(std::holds_alternative<int64_t>(key));
          if (entry.contains("step")) CHECK(entry["step"].to_int() == 2);
        }
        Trained other(name);  // As it was, before its own further steps.
        train_on(other.model, *other.optimizer, 2, 4);
        State again;
        again.add("model", other.model).add("optimizer", *other.optimizer);
        REQUIRE(manager.restore_latest(again));
        CHECK(form_difference(wanted, other.python(), "") == "");
      }
      CHECK(form_difference(wanted, python, "") == "");
      // Back again, into a plain LibTorch optimizer.
      const Value back = with_optimizer_form(tree, OptimizerForm::kLibTorch, path)["optimizer"];
      save(back, root / "optimizer.pt");
      torch::serialize::InputArchive archive;
      archive.load_from(root / "optimizer.pt");
      const auto plain = optimizer_of(name, trained.model);
      plain->load(archive);
      const Value states = optimizer_state_dict(*plain)["state"];
      CHECK(form_difference(wanted["state"], states, ".state.") == "");
    }
  }
}

TEST_CASE("an optimizer's parameters may have names in Python's form", "[python]") {
  Trained trained("adam");
  const auto form = [&](OptimizerForm wanted) {
    return optimizer_state_dict(*trained.optimizer, *trained.model, wanted);
  };
  const Value named = form(OptimizerForm::kPythonWithNames);
  const Dict& group = named["param_groups"][0].dict();
  CHECK(to_string(group.begin()->first) == "param_names");  // As Python has it.
  CHECK(group.at("param_names").list()[3].to_string() == "2.bias");
  CHECK(group.at("params").list()[3].to_int() == 3);
  const Value by_name = form(OptimizerForm::kByName);
  CHECK(by_name["state"]["0.weight"].contains("exp_avg"));
  CHECK(by_name["param_groups"][0]["params"][1].to_string() == "0.bias");

  // The same parameters in another order.
  auto parameters = trained.model->parameters();
  std::swap(parameters[0], parameters[3]);
  torch::optim::Adam other(parameters);
  for (const Value& tree : {named, by_name}) {
    other.state().clear();
    load_optimizer_state_dict(other, tree, *trained.model);
    const Value loaded = optimizer_state_dict(other, *trained.model, OptimizerForm::kByName);
    CHECK(form_difference(by_name["state"], loaded["state"], ".state.") == "");
  }
  CHECK(contains(error_of([&] { load_optimizer_state_dict(other, by_name); }), "*model"));
  // By position, as Python does: here the shapes differ.
  CHECK(contains(error_of([&] { load_optimizer_state_dict(other, named); }), "state.0.exp_avg"));

  Value renamed = by_name;
  at_path(renamed, {"param_groups", int64_t{0}, "params", int64_t{0}}) = "0.kernel";
  const std::string error =
      error_of([&] { load_optimizer_state_dict(*trained.optimizer, renamed, *trained.model); });
  CHECK(contains(error, "param_groups.0.0.weight"));
  CHECK(contains(error, "state.0.weight"));
  torch::nn::Linear stranger(3, 4);
  CHECK(
      contains(error_of([&] { load_optimizer_state_dict(*trained.optimizer, by_name, *stranger); }),
               "the module has no such parameter"));
  CHECK(contains(error_of([&] {
                   optimizer_state_dict(*trained.optimizer, *stranger, OptimizerForm::kByName);
                 }),
                 "names"));
}

TEST_CASE("keys of an optimizer's parameters: digits count, mixes and strangers are refused",
          "[python]") {
  Trained trained("adam");
  const Value python = trained.python();
  // Python itself restores nothing from this, without an error.
  for (const bool params_too : {false, true}) {
    Trained other("adam");
    train_on(other.model, *other.optimizer, 2, 3);
    load_optimizer_state_dict(*other.optimizer, with_text_keys(python, params_too));
    CHECK(form_difference(python, other.python(), "") == "");
  }
  // Any integers do.
  Value moved = python;
  Dict states;
  for (const auto& [key, value] : python["state"].dict()) {
    states.insert(std::get<int64_t>(key) + 100, value);
  }
  *moved.dict().find(std::string("state")) = states;
  CHECK(contains(trained.load_error(moved), "state.100"));
  at_path(moved, {"param_groups", int64_t{0}, "params"}) = Value::List{100, 101, 102, 103};
  CHECK(trained.load_error(moved).empty());
  CHECK(form_difference(python, trained.python(), "") == "");

  Value mixed = python;
  mixed.dict().find(std::string("state"))->dict().insert("4", Dict());
  CHECK(contains(trained.load_error(mixed), "incompatible: 'state': the keys"));
  Value names = python;
  at_path(names, {"param_groups", int64_t{0}, "params", int64_t{1}}) = "1";
  CHECK(contains(trained.load_error(names), "param_groups.0.params"));
  Value stranger = python;
  stranger.dict().find(std::string("state"))->dict().insert(int64_t{7}, Dict());
  CHECK(contains(trained.load_error(stranger), "state.7"));
  CHECK(contains(error_of([&] { with_optimizer_form(stranger, OptimizerForm::kLibTorch); }),
                 "'state.7' belongs to no parameter"));
  Value fewer = python;
  at_path(fewer, {"param_groups", int64_t{0}, "params"}) = Value::List{0, 1, 2};
  CHECK(contains(trained.load_error(fewer), "4 parameters here, 3 saved"));
  Value groupless = python;
  at_path(groupless, {"param_groups", int64_t{0}, "params"}) = "all";
  CHECK(contains(trained.load_error(groupless), "not the state_dict of a Python optimizer"));
  CHECK(form_difference(python, trained.python(), "") == "");  // Nothing has changed.

  // A conversion writes such a file as Python needs it.
  const Value repaired = with_optimizer_form(with_text_keys(python, false), OptimizerForm::kPython);
  CHECK(form_difference(python["state"], repaired["state"], ".state.") == "");
  CHECK(std::holds_alternative<int64_t>(repaired["state"].dict().begin()->first));
}

TEST_CASE("options of Python's optimizers that LibTorch lacks are refused if they change steps",
          "[python]") {
  for (const std::string& name : kCases) {
    INFO(name);
    Trained trained(name);
    Value python = trained.python();
    const auto set = [&](const char* option, Value value) {
      Value tree = python;
      at_path(tree, {"param_groups", int64_t{0}}).dict().set(option, std::move(value));
      return tree;
    };
    CHECK(contains(trained.load_error(set("maximize", true)), "param_groups.0.maximize"));
    CHECK(trained.load_error(set("foreach", true)).empty());
    CHECK(trained.load_error(set("initial_lr", 0.5)).empty());
    CHECK(trained.load_error(set("mystery", 1)).empty());
    CHECK(contains(
        error_of([&] { with_optimizer_form(set("maximize", true), OptimizerForm::kLibTorch); }),
        "maximize"));
    const Dict& group = python["param_groups"][0].dict();
    CHECK(group.at("maximize").to_bool() == false);
    const Value* const decoupled = group.find(std::string("decoupled_weight_decay"));
    CHECK((decoupled != nullptr) == begins(name, "adam"));
    if (decoupled != nullptr) CHECK(decoupled->to_bool() == begins(name, "adamw"));
  }
}

TEST_CASE("Adam without its class known never becomes an AdamW in Python", "[python]") {
  for (const char* name : {"adam", "adamw"}) {
    Trained trained(name);
    const Value tree =
        optimizer_state_dict(*trained.optimizer, *trained.model, OptimizerForm::kLibTorch);
    const Value python = with_optimizer_form(tree, OptimizerForm::kPython);
    const Dict& group = python["param_groups"][0].dict();
    CHECK_FALSE(group.contains(std::string("decoupled_weight_decay")));  // Python adds it.
    CHECK(group.contains(std::string("capturable")));
  }
}

TEST_CASE("counts of steps are exact in Python's form, also beyond what a float32 counts",
          "[python]") {
  for (const char* name : {"adam", "adamw", "rmsprop", "adagrad"}) {
    Trained trained(name);
    Value python = trained.python();
    const auto step_of = [&](int64_t parameter) -> Value& {
      return at_path(python, {"state", parameter, "step"});
    };
    CHECK(step_of(0).to_tensor().scalar_type() == torch::kFloat);
    CHECK(step_of(0).to_tensor().data_ptr() != step_of(1).to_tensor().data_ptr());
    const int64_t most = int64_t{1} << 24;
    for (const int64_t steps : {most - 1, most, most + 1, int64_t{1} << 40}) {
      step_of(0) = steps;
      load_optimizer_state_dict(*trained.optimizer, python);
      const Value again = trained.python();
      for (const int64_t parameter : {0, 1}) {
        const at::Tensor step = again["state"][parameter]["step"].to_tensor();
        CHECK(step.dim() == 0);
        CHECK(step.scalar_type() == (steps < most ? torch::kFloat : torch::kDouble));
        CHECK(step.item<int64_t>() == (parameter == 0 ? steps : 2));
      }
    }
    const auto refused = [&](Value value) {
      step_of(0) = std::move(value);
      return contains(trained.load_error(python), "step");
    };
    CHECK(refused(-1));
    CHECK(refused(torch::tensor(-3.0)));
    CHECK(refused(2.5));
    CHECK(refused(torch::ones({2})));
    CHECK(refused("two"));
    CHECK_FALSE(refused(torch::full({1}, 5.0)));
    CHECK_FALSE(refused(torch::tensor(int64_t{5})));
    CHECK_FALSE(refused(5.0));
  }
}

TEST_CASE("LBFGS in Python's form: numbers in tensors, what is missing, and wrong sizes",
          "[python]") {
  const Value saved = load(kOptimizers + "lbfgs.pth");
  const auto result = [&](const std::function<void(Dict&)>& change) {
    Value tree = saved["optimizer_at_4"];
    change(at_path(tree, {"state", int64_t{0}}).dict());
    torch::nn::Sequential model = small_net();
    load_weights_into(model, saved["model_at_4"]);
    const auto optimizer = optimizer_of("lbfgs", model);
    const std::string error = error_of([&] { load_optimizer_state_dict(*optimizer, tree); });
    if (!error.empty()) return error;
    train_on(model, *optimizer, 4, 6);
    const auto has_scratch = [&](OptimizerForm form, const Key& key) {
      const Value whole = optimizer_state_dict(*optimizer, *model, form);
      return whole["state"].dict().at(key).contains("al");
    };
    CHECK(has_scratch(OptimizerForm::kLibTorch, "0"));
    CHECK_FALSE(has_scratch(OptimizerForm::kPython, int64_t{0}));
    return std::to_string(model->parameters()[0].sum().item<double>());
  };
  const auto without = [&](const std::string& name) {
    return result([&](Dict& state) {
      Dict rest;
      for (const auto& [key, value] : state) {
        if (to_string(key) != name) rest.insert(key, value);
      }
      state = rest;
    });
  };
  const std::string same = result([](Dict&) {});
  // As in Python: these may be missing, or be tensors.
  for (const char* name : {"al", "prev_loss", "func_evals"}) CHECK(without(name) == same);
  CHECK(result([](Dict& state) { state.set("t", torch::tensor(0.5)); }) == same);
  // Others may not.
  CHECK(contains(without("n_iter"), "state.0.n_iter"));
  CHECK(contains(without("ro"), "state.0.ro"));
  CHECK(contains(without("t"), "state.0.t"));
  const auto set = [&](const char* name, Value value) {
    return result([&](Dict& state) { state.set(name, value); });
  };
  CHECK(contains(set("d", torch::ones({20})), "20 elements saved"));
  CHECK(contains(set("old_stps", Value::List{torch::ones({21})}), "state.0.old_stps: 1 saved"));
  CHECK(
      contains(set("old_dirs", Value::List{torch::ones({21}), torch::ones({3}), torch::ones({21})}),
               "state.0.old_dirs.1"));
  CHECK(contains(set("n_iter", -4), "n_iter"));

  // Before the first update, Python has the int 1, and a step size that may be a tensor.
  torch::nn::Sequential model = small_net();
  torch::optim::LBFGS fresh(model->parameters(), torch::optim::LBFGSOptions(1).max_iter(1));
  CHECK(optimizer_state_dict(fresh)["state"].dict().empty());
  train_on(model, fresh, 0, 1);
  const Value python = optimizer_state_dict(fresh);
  CHECK(python["state"][0]["H_diag"].to_int() == 1);
  CHECK(python["param_groups"][0]["max_eval"].to_int() == 1);
  torch::optim::LBFGS other(model->parameters());
  load_optimizer_state_dict(other, python);
  CHECK(form_difference(python, optimizer_state_dict(other), "") == "");

  const at::Tensor complex = torch::zeros({2}, torch::kComplexFloat);
  torch::optim::LBFGS strange(std::vector<at::Tensor>{complex});
  CHECK(contains(error_of([&] { optimizer_state_dict(strange); }), "complex"));
}

TEST_CASE("StepLR in Python's form decays at the same call", "[python]") {
  torch::nn::Linear model(1, 1);
  for (int64_t calls = 0; calls < 8; ++calls) {
    torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.1));
    torch::optim::StepLR scheduler(optimizer, 3, 0.1);
    for (int64_t i = 0; i < calls; ++i) scheduler.step();
    const Value python = scheduler_state_dict(scheduler, optimizer);
    // Python decays in the call that makes last_epoch a multiple of the step size.
    CHECK(python["last_epoch"].to_int() == calls - 1);
    CHECK(python["_step_count"].to_int() == calls);
    CHECK(python["base_lrs"][0].to_double() == 0.1);
    CHECK(python["_last_lr"][0].to_double() == optimizer.param_groups()[0].options().get_lr());
    const double before = optimizer.param_groups()[0].options().get_lr();
    const bool decays = calls != 0 && (python["last_epoch"].to_int() + 1) % 3 == 0;

    torch::optim::StepLR other(optimizer, 3, 0.1);
    load_scheduler_state_dict(other, python);
    other.step();
    CHECK(optimizer.param_groups()[0].options().get_lr() == (decays ? before * 0.1 : before));
  }
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.1));
  torch::optim::StepLR scheduler(optimizer, 3, 0.5);
  const Dict few{{"last_epoch", 7}, {"step_size", 3}, {"gamma", 0.5}};
  CHECK_NOTHROW(load_scheduler_state_dict(scheduler, few));
  CHECK(scheduler_state_dict(scheduler, optimizer)["last_epoch"].to_int() == 7);
  const auto error = [&](const Value& tree) {
    return error_of([&] { load_scheduler_state_dict(scheduler, tree); });
  };
  CHECK(contains(error(Dict{{"last_epoch", 7}, {"step_size", 4}, {"gamma", 0.1}}),
                 "step_size: 3 here, 4 saved"));
  CHECK(contains(error(Dict{{"last_epoch", -2}, {"step_size", 3}, {"gamma", 0.5}}), "step_count"));
  CHECK(contains(error(Dict{{"last_epoch", 2}, {"milestones", Dict()}, {"gamma", 0.5}}),
                 "not the state_dict of Python's StepLR"));
  CHECK(scheduler_state_dict(scheduler, optimizer)["last_epoch"].to_int() == 7);
}

TEST_CASE("a checkpoint's scheduler gets Python's form with its optimizer's rates", "[python]") {
  const test::TemporaryDirectory root;
  for (const Format format : {Format::kArchive, Format::kPth}) {
    Trained trained("adam");
    torch::optim::StepLR scheduler(*trained.optimizer, 2, 0.5);
    for (int i = 0; i < 5; ++i) scheduler.step();
    State state;
    state.add("model", trained.model).add("optimizer", *trained.optimizer).add("lr", scheduler);
    CheckpointManager manager(root / "run", CheckpointManagerOptions().format(format));
    const std::string path = root / ("run/" + manager.save(state, {}));
    const Value tree = with_optimizer_form(load(path), OptimizerForm::kPython, path);
    CHECK(tree["lr"]["last_epoch"].to_int() == 4);
    CHECK(tree["lr"]["base_lrs"][0].to_double() == 0.001);
    CHECK(tree["optimizer"]["param_groups"][0]["initial_lr"].to_double() == 0.001);
    CHECK(tree["optimizer"]["param_groups"][0]["lr"].to_double() == 0.00025);
    const Value named = with_optimizer_form(load(path), OptimizerForm::kByName, path);
    CHECK(named["optimizer"]["state"].contains("0.weight"));  // Not "model.0.weight".
    scheduler.step();
    REQUIRE(manager.restore_latest(state));
    CHECK(scheduler_state_dict(scheduler, *trained.optimizer)["last_epoch"].to_int() == 4);
  }
}

#if TORCH_CHECKPOINT_HAS_PLATEAU
TEST_CASE("ReduceLROnPlateau in Python's form, to it and back", "[python]") {
  using Plateau = torch::optim::ReduceLROnPlateauScheduler;
  torch::nn::Linear model(1, 1);
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.1));
  for (const auto mode : {Plateau::min, Plateau::max}) {
    Plateau scheduler(optimizer, mode, 0.5F, 2);
    const double worst = mode == Plateau::min ? kInfinite : -kInfinite;
    const Value fresh = scheduler_state_dict(scheduler, optimizer);
    CHECK(fresh["best"].to_double() == worst);  // LibTorch has FLT_MAX, and FLT_MIN.
    CHECK(fresh["mode_worse"].to_double() == worst);
    for (const float metric : {3.0F, 2.0F, 2.5F}) scheduler.step(metric);
    const Value python = scheduler_state_dict(scheduler, optimizer);
    CHECK(python["best"].to_double() == (mode == Plateau::min ? 2 : 3));
    CHECK(python["last_epoch"].to_int() == 3);
    Plateau other(optimizer, mode, 0.5F, 2);
    load_scheduler_state_dict(other, python);
    CHECK(form_difference(python, scheduler_state_dict(other, optimizer), "") == "");
    load_scheduler_state_dict(other, fresh);
    CHECK(form_difference(fresh, scheduler_state_dict(other, optimizer), "") == "");
  }
  Plateau absolute(optimizer, Plateau::max, 0.5F, 2, 1e-4, Plateau::abs);
  const Value wrong = scheduler_state_dict(absolute, optimizer);
  CHECK(contains(error_of([&] { load_scheduler_state_dict(absolute, wrong); }), "threshold_mode"));
}
#endif
