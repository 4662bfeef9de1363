// An optimizer's state in the form that Python's Optimizer.state_dict() has:
//
//   {"state": {0: {"step": tensor, "exp_avg": …}, …},
//    "param_groups": [{"lr": …, …, "params": [0, 1, …]}, …]}
//
// LibTorch's classes have the same fields as Python's. Python's have more options (PythonOption): a
// save writes their defaults, and a load refuses values that would change the steps.

#include "state/items/optimizer_codec.h"
#include "state/items/optimizer_match.h"
#include "state/plan/restore_plan.h"

#include "base/log.h"
#include "format/tree/dense.h"
#include "format/tree/path.h"

#include <checkpoint/error.h>
#include <checkpoint/state_dict.h>

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace checkpoint {
namespace {

using format::dotted;
using state::find_state;
using state::OptimizerCodec;
using state::RestorePlan;
using torch::optim::Optimizer;
using torch::optim::OptimizerParamGroup;
using torch::optim::OptimizerParamState;

/// An option that Python's optimizer has and LibTorch's does not.
struct PythonOption {
  const char* name;
  /// Its default in Python.
  Value normal;
  /// Whether another value changes the steps. LibTorch could then not continue as Python would.
  bool changes_steps;
};

std::vector<PythonOption> python_options(const std::string& type) {
  std::vector<PythonOption> options = {
      {"maximize", false, true}, {"foreach", Value(), false}, {"differentiable", false, false}};
  if (type != "SGD" && type != "Adagrad") options.push_back({"capturable", false, false});
  if (type != "RMSprop") options.push_back({"fused", Value(), false});
  if (type == "Adam") options.push_back({"decoupled_weight_decay", false, true});
  if (type == "AdamW") options.push_back({"decoupled_weight_decay", true, true});
  return options;
}

const OptimizerCodec& codec_of(const Optimizer& optimizer) {
  const OptimizerCodec* codec = state::find_codec(optimizer);
  if (codec == nullptr) codec = state::find_base_codec(optimizer);
  if (codec == nullptr || codec->is_flat()) {
    throw Error(ErrorCode::kUnsupported,
                "only SGD, Adam, AdamW, RMSprop and Adagrad can be exchanged with Python");
  }
  return *codec;
}

// Returns a step count as Python holds it: in a tensor, of float32 if that can hold the number.
Value step_tensor(int64_t steps) {
  const auto narrow = static_cast<float>(steps);
  const bool is_exact = static_cast<double>(narrow) == static_cast<double>(steps);
  return is_exact ? torch::tensor(narrow)
                  : torch::tensor(static_cast<double>(steps), torch::kDouble);
}

Value to_python(const Dict& state) {
  Dict result;
  for (const auto& [key, value] : state) {
    const bool is_step = to_string(key) == "step" && value.kind() == Value::Kind::kInt;
    result.insert(key, is_step ? step_tensor(value.to_int()) : value);
  }
  return result;
}

// Returns a number that Python may hold in a tensor as a plain number.
Value plain_number(const Value& value) {
  if (!value.is_tensor() || value.to_tensor().numel() != 1) return value;
  const at::Tensor& number = value.to_tensor();
  if (number.is_complex()) return value;
  if (at::isIntegralType(number.scalar_type(), /*includeBool=*/false)) {
    return number.item<int64_t>();
  }
  return number.to(torch::kDouble).item<double>();
}

// Does the same for what LibTorch counts in an int64_t. Any other value stays as it is, and the
// plan refuses it.
Value plain_count(const Value& value) {
  const Value number = plain_number(value);
  if (number.kind() != Value::Kind::kDouble) return number;
  const double real = number.to_double();
  const bool is_count = real >= -0x1p63 && real < 0x1p63 && std::trunc(real) == real;
  return is_count ? Value(static_cast<int64_t>(real)) : number;
}

Value from_python_state(const Dict& state) {
  Dict result;
  for (const auto& [key, value] : state) {
    if (value.is_none()) continue;  // SGD without momentum.
    result.insert(key, to_string(key) == "step" ? plain_count(value) : value);
  }
  return result;
}

Value from_python_options(const Dict& group) {
  Dict result;
  for (const auto& [key, value] : group) {
    if (value.kind() == Value::Kind::kList && to_string(key) == "betas") {
      result.insert(key, Tuple{value.list()});
    } else {
      result.insert(key, plain_number(value));
    }
  }
  return result;
}

bool is_same(const Value& left, const Value& right) {
  if (left.is_none() || right.is_none()) return left.is_none() && right.is_none();
  return left.kind() == Value::Kind::kBool && right.kind() == Value::Kind::kBool &&
         left.to_bool() == right.to_bool();
}

// Plans to load Python's state_dict into a live optimizer.
class Loader {
 public:
  Loader(Optimizer& optimizer, RestorePlan& plan)
      : optimizer_(optimizer), codec_(codec_of(optimizer)), plan_(plan) {}

  void load(const Dict& saved) {
    const Value* groups = saved.find(std::string("param_groups"));
    const Value* states = saved.find(std::string("state"));
    if (groups == nullptr || states == nullptr || groups->kind() != Value::Kind::kList ||
        !states->is_dict()) {
      throw Error(ErrorCode::kIncompatible,
                  "not the state_dict of a Python optimizer: it has no 'state' and "
                  "'param_groups'");
    }
    if (!can_be_read(saved)) return;
    auto& live = optimizer_.param_groups();
    if (!state::compare_group_counts(live.size(), groups->list().size(), "param_groups", plan_)) {
      return;
    }
    for (size_t g = 0; g < live.size(); ++g) {
      load_group(groups->list()[g].dict(), states->dict(), live[g],
                 "param_groups." + std::to_string(g));
    }
    plan_.add_final([optimizer = &optimizer_, states = states_] {
      state::replace_states(*optimizer, *states);
    });
  }

 private:
  // Returns whether all tensors have memory. If not, the report says so.
  bool can_be_read(const Value& saved) {
    bool can_be = true;
    format::for_each_tensor(saved, format::Path(), [&](const Value& entry, const auto& path) {
      const std::string missing = format::missing_memory(entry.to_tensor());
      if (missing.empty()) return;
      can_be = false;
      plan_.mismatched(path.text(), "the given tensor cannot be read: it is " + missing);
    });
    return can_be;
  }

  void load_group(const Dict& group, const Dict& states, OptimizerParamGroup& live,
                  const std::string& path) {
    check_options(group, live, path);
    codec_.plan_options(from_python_options(group), live.options(), path, plan_);
    const Value* params = group.find(std::string("params"));
    if (params == nullptr || params->kind() != Value::Kind::kList) {
      plan_.missing(dotted(path, "params"));
      return;
    }
    const size_t saved_count = params->list().size();
    if (!state::compare_parameter_counts(live.params().size(), saved_count, path, plan_)) return;
    for (size_t p = 0; p < live.params().size(); ++p) {
      const int64_t index = params->list()[p].to_int();
      const Value* state = states.find(index);
      if (state == nullptr) continue;  // No step yet: no state.
      load_state(state->dict(), live.params()[p], "state." + std::to_string(index));
    }
  }

  void check_options(const Dict& group, const OptimizerParamGroup& live, const std::string& path) {
    const Dict known = codec_.capture_options(live.options()).dict();
    const std::vector<PythonOption> python = python_options(codec_.type());
    for (const auto& [key, value] : group) {
      const std::string name = to_string(key);
      if (name == "params" || name == "initial_lr" || known.contains(key)) continue;
      const auto option = std::find_if(python.begin(), python.end(),
                                       [&](const PythonOption& o) { return name == o.name; });
      if (option == python.end()) {
        base::log_warning("the option '" + dotted(path, name) + "' of Python's " + codec_.type() +
                          " is ignored: LibTorch has no such option");
      } else if (option->changes_steps && !is_same(value, option->normal)) {
        plan_.mismatched(dotted(path, name), std::string("LibTorch's ") + codec_.type() +
                                                 " does not support the saved value");
      }
    }
  }

  void load_state(const Dict& saved, const at::Tensor& parameter, const std::string& path) {
    const Value plain = from_python_state(saved);
    if (!state::compare_state_shapes(plain.dict(), parameter, path, plan_)) return;
    auto planned =
        codec_.plan_state(plain, find_state(optimizer_, parameter), parameter, path, plan_);
    if (planned) states_->emplace_back(parameter, std::move(planned));
  }

  Optimizer& optimizer_;
  const OptimizerCodec& codec_;
  RestorePlan& plan_;
  std::shared_ptr<state::OptimizerStates> states_ = std::make_shared<state::OptimizerStates>();
};

}  // namespace

Value optimizer_state_dict(const Optimizer& optimizer) {
  const OptimizerCodec& codec = codec_of(optimizer);
  Dict states;
  Value::List groups;
  int64_t index = 0;
  for (const OptimizerParamGroup& group : optimizer.param_groups()) {
    Dict options = codec.capture_options(group.options()).dict();
    for (const PythonOption& option : python_options(codec.type())) {
      options.insert(std::string(option.name), option.normal);
    }
    Value::List params;
    for (const at::Tensor& parameter : group.params()) {
      if (const OptimizerParamState* state = find_state(optimizer, parameter)) {
        states.insert(index, to_python(codec.capture_state(*state).dict()));
      }
      params.emplace_back(index++);
    }
    options.insert("params", std::move(params));
    groups.emplace_back(std::move(options));
  }
  Dict tree;
  tree.insert("state", std::move(states));
  tree.insert("param_groups", std::move(groups));
  return tree;
}

RestoreReport load_optimizer_state_dict(Optimizer& optimizer, const Value& state_dict) {
  const state::TensorSource source;
  const RestoreOptions options;
  RestorePlan plan(source, options);
  Loader(optimizer, plan).load(state_dict.dict());
  plan.require_fit("");
  plan.run();
  return plan.report();
}

}  // namespace checkpoint
