#include "state/forms/optimizer_class.h"

#include <algorithm>

namespace checkpoint::state {
namespace {

const PythonOption kMaximize{"maximize", false, true};
const PythonOption kForeach{"foreach", Value()};
const PythonOption kCapturable{"capturable", false};
const PythonOption kDifferentiable{"differentiable", false};
const PythonOption kFused{"fused", Value()};

// Written True for a plain Adam, the option would make Python's Adam decay as AdamW does.
OptimizerClass adam(const char* name, std::vector<PythonOption> decoupled) {
  OptimizerClass result{name,
                        {{"lr"},
                         {"betas"},
                         {"eps"},
                         {"weight_decay"},
                         {"amsgrad"},
                         kMaximize,
                         kForeach,
                         kCapturable,
                         kDifferentiable,
                         kFused}};
  result.options.insert(result.options.end(), decoupled.begin(), decoupled.end());
  return result;
}

const std::vector<OptimizerClass>& named_classes() {
  static const std::vector<OptimizerClass> classes = {
      {"SGD",
       {{"lr"},
        {"momentum"},
        {"dampening"},
        {"weight_decay"},
        {"nesterov"},
        kMaximize,
        kForeach,
        kDifferentiable,
        kFused}},
      adam("Adam", {{"decoupled_weight_decay", false, true}}),
      adam("AdamW", {{"decoupled_weight_decay", true, true}}),
      {"RMSprop",
       {{"lr"},
        {"momentum"},
        {"alpha"},
        {"eps"},
        {"centered"},
        {"weight_decay"},
        kCapturable,
        kForeach,
        kMaximize,
        kDifferentiable}},
      {"Adagrad",
       {{"lr"},
        {"lr_decay"},
        {"eps"},
        {"weight_decay"},
        {"initial_accumulator_value"},
        kForeach,
        kMaximize,
        kDifferentiable,
        kFused}},
      {"LBFGS",
       {{"lr"},
        {"max_iter"},
        {"max_eval"},
        {"tolerance_grad"},
        {"tolerance_change"},
        {"history_size"},
        {"line_search_fn"},
        kMaximize}}};
  return classes;
}

// Whether a group has all options that LibTorch's class has.
bool has_options_of(const OptimizerClass& type, const Dict& group) {
  return std::all_of(type.options.begin(), type.options.end(), [&](const PythonOption& option) {
    return option.normal || group.contains(std::string(option.name));
  });
}

}  // namespace

const PythonOption* OptimizerClass::find(const std::string& option) const {
  for (const PythonOption& known : options) {
    if (option == known.name) return &known;
  }
  return nullptr;
}

const OptimizerClass* find_optimizer_class(const std::string& name) {
  for (const OptimizerClass& type : named_classes()) {
    if (type.name == name) return &type;
  }
  return nullptr;
}

const OptimizerClass* find_optimizer_class(const Dict& options) {
  static const OptimizerClass kAdamOrAdamW =
      adam("Adam or AdamW", {{"decoupled_weight_decay", std::nullopt, false}});
  for (const OptimizerClass& type : named_classes()) {
    if (!has_options_of(type, options)) continue;
    return type.name == "Adam" ? &kAdamOrAdamW : &type;
  }
  return nullptr;
}

}  // namespace checkpoint::state
