// An optimizer's state in the form that Python's Optimizer.state_dict() has, from and to a live
// optimizer. state/forms knows the form; here the saved parameters meet the live ones:
//
//   - by position, if the saved ones have indices, as Python does;
//   - by name, if the caller gave the module, and the saved ones have names.
//
// Everything is compared and planned before the live optimizer changes.

#include "state/forms/optimizer_tree.h"
#include "state/items/optimizer.h"
#include "state/items/optimizer_codec.h"
#include "state/items/optimizer_match.h"
#include "state/plan/restore_plan.h"

#include "format/tree/dense.h"
#include "format/tree/path.h"

#include <checkpoint/error.h>
#include <checkpoint/state_dict.h>

#include <torch/torch.h>

#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace checkpoint {
namespace {

using format::dotted;
using state::find_state;
using state::OptimizerClass;
using state::OptimizerCodec;
using state::OptimizerGroup;
using state::OptimizerTree;
using state::ParameterNames;
using state::RestorePlan;
using torch::optim::Optimizer;
using torch::optim::OptimizerParamGroup;

const OptimizerCodec& codec_of(const Optimizer& optimizer) {
  const OptimizerCodec* codec = state::find_codec(optimizer);
  if (codec == nullptr) codec = state::find_base_codec(optimizer);
  if (codec == nullptr) {
    throw Error(ErrorCode::kUnsupported,
                "only SGD, Adam, AdamW, RMSprop, Adagrad and LBFGS can be exchanged with Python");
  }
  if (!codec->is_flat()) return *codec;
  for (const at::Tensor& parameter : state::parameters_of(optimizer)) {
    if (!parameter.is_complex()) continue;
    throw Error(
        ErrorCode::kUnsupported,
        "an LBFGS over complex parameters cannot be exchanged with Python: its vectors have "
        "another layout there");
  }
  return *codec;
}

ParameterNames names_in(const torch::nn::Module& module) {
  ParameterNames names;
  for (const auto& parameter : module.named_parameters()) {
    names.emplace(parameter.value().unsafeGetTensorImpl(), parameter.key());
  }
  return names;
}

// Plans to load Python's state_dict into a live optimizer.
class Loader {
 public:
  // `names` is null if the live parameters' names are not known.
  Loader(Optimizer& optimizer, const ParameterNames* names, RestorePlan& plan)
      : optimizer_(optimizer),
        names_(names),
        codec_(codec_of(optimizer)),
        type_(*state::find_optimizer_class(codec_.type())),
        plan_(plan) {}

  void load(const Value& saved) {
    const OptimizerTree tree = state::read_python_optimizer(saved);
    if (tree.is_by_name && names_ == nullptr) {
      throw Error(ErrorCode::kIncompatible,
                  "the saved optimizer's parameters have names, not indices", "", 0,
                  "Pass the module: load_optimizer_state_dict(optimizer, state_dict, *model).");
    }
    if (!can_be_read(saved)) return;
    auto& live = optimizer_.param_groups();
    if (!state::compare_group_counts(live.size(), tree.groups.size(), "param_groups", plan_)) {
      return;
    }
    for (const std::string& state : tree.unknown) plan_.unexpected(state);
    for (size_t g = 0; g < live.size(); ++g) {
      load_group(tree.groups[g], tree.is_by_name, live[g], "param_groups." + std::to_string(g));
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

  void load_group(const OptimizerGroup& saved, bool by_name, OptimizerParamGroup& live,
                  const std::string& path) {
    std::vector<std::string> refused;
    const Dict options = state::libtorch_options(saved.options, type_, path, refused);
    for (const std::string& name : refused) {
      plan_.mismatched(dotted(path, name),
                       "LibTorch's " + type_.name + " does not support the saved value");
    }
    codec_.plan_options(
        options, live.options(), [&] { return path; }, plan_);
    const size_t count = live.params().size();
    if (!state::compare_parameter_counts(count, saved.ids.size(), path, plan_)) return;
    const bool has_names = names_ != nullptr && saved.names.size() == count;
    for (size_t p = 0; p < count; ++p) {
      const at::Tensor& parameter = live.params()[p];
      const int64_t match =
          has_names ? find_by_name(saved, p, parameter, path) : static_cast<int64_t>(p);
      if (match < 0) continue;
      const auto index = static_cast<size_t>(match);
      const Value* const state = saved.states[index];
      if (state == nullptr) continue;  // No step yet: no state.
      load_state(state->dict(), parameter,
                 "state." + (by_name ? saved.names[index] : std::to_string(saved.ids[index])));
    }
  }

  // Returns the position of the saved parameter with the live one's name. If there is none, the
  // report says so, and the result is -1.
  int64_t find_by_name(const OptimizerGroup& saved, size_t position, const at::Tensor& parameter,
                       const std::string& path) {
    const auto live = names_->find(parameter.unsafeGetTensorImpl());
    if (live == names_->end()) {
      plan_.mismatched(dotted(path, "params." + std::to_string(position)),
                       "the module has no such parameter");
      return -1;
    }
    for (size_t i = 0; i < saved.names.size(); ++i) {
      // The same place first: an optimizer nearly always has its parameters in the same order.
      const size_t place = (position + i) % saved.names.size();
      if (saved.names[place] != live->second) continue;
      if (codec_.is_flat() && place != position) {
        plan_.mismatched(path, type_.name +
                                   " keeps one vector over all parameters, and their order here is "
                                   "not the saved one");
        return -1;
      }
      return static_cast<int64_t>(place);
    }
    plan_.missing(dotted(path, live->second));
    return -1;
  }

  void load_state(const Dict& saved, const at::Tensor& parameter, const std::string& path) {
    Dict plain;
    try {
      plain = state::libtorch_state(saved, codec_.is_flat());
    } catch (const Error& error) {
      plan_.mismatched(path, error.what());
      return;
    }
    const auto place = [&] { return path; };
    const bool fits = codec_.is_flat()
                          ? state::compare_flat_sizes(plain, optimizer_, place, plan_)
                          : state::compare_state_shapes(plain, parameter, place, plan_);
    if (!fits) return;
    auto planned =
        codec_.plan_state(plain, find_state(optimizer_, parameter), parameter, place, plan_);
    if (planned) states_->emplace_back(parameter, std::move(planned));
  }

  Optimizer& optimizer_;
  const ParameterNames* names_;
  const OptimizerCodec& codec_;
  const OptimizerClass& type_;
  RestorePlan& plan_;
  std::shared_ptr<state::OptimizerStates> states_ = std::make_shared<state::OptimizerStates>();
};

RestoreReport load_into(Optimizer& optimizer, const Value& state_dict,
                        const ParameterNames* names) {
  const state::TensorSource source;
  const RestoreOptions options;
  RestorePlan plan(source, options);
  Loader(optimizer, names, plan).load(state_dict);
  plan.require_fit("");
  plan.run();
  return plan.report();
}

Value state_dict_of(const Optimizer& optimizer, const ParameterNames& names, OptimizerForm form) {
  const OptimizerCodec& codec = codec_of(optimizer);
  Value tree = state::capture_optimizer(optimizer, codec);
  if (form == OptimizerForm::kLibTorch) return tree;
  OptimizerTree parts = state::read_libtorch_optimizer(tree);
  const auto in_groups = state::names_of_parameters(optimizer, names);
  for (size_t g = 0; g < parts.groups.size(); ++g) parts.groups[g].names = in_groups[g];
  return state::to_python_form(parts, state::find_optimizer_class(codec.type()), form,
                               state::StepCounts::kTensors);
}

}  // namespace

Value optimizer_state_dict(const Optimizer& optimizer) {
  return state_dict_of(optimizer, {}, OptimizerForm::kPython);
}

Value optimizer_state_dict(const Optimizer& optimizer, const torch::nn::Module& module,
                           OptimizerForm form) {
  return state_dict_of(optimizer, names_in(module), form);
}

RestoreReport load_optimizer_state_dict(Optimizer& optimizer, const Value& state_dict) {
  return load_into(optimizer, state_dict, nullptr);
}

RestoreReport load_optimizer_state_dict(Optimizer& optimizer, const Value& state_dict,
                                        const torch::nn::Module& module) {
  const ParameterNames names = names_in(module);
  return load_into(optimizer, state_dict, &names);
}

}  // namespace checkpoint
