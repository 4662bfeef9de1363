#include "state/items/optimizer_match.h"

#include "base/shape_text.h"
#include "compat/torch_compat.h"
#include "state/plan/item.h"

namespace checkpoint::state {
namespace {

using torch::optim::Optimizer;
using torch::optim::OptimizerParamState;

bool compare_counts(size_t live, size_t saved, const char* what, const std::string& key,
                    RestorePlan& plan) {
  if (live == saved) return true;
  plan.mismatched(key,
                  std::to_string(live) + " " + what + " here, " + std::to_string(saved) + " saved");
  return false;
}

}  // namespace

const OptimizerParamState* find_state(const Optimizer& optimizer, const at::Tensor& parameter) {
  const auto found = optimizer.state().find(compat::state_key(parameter));
  return found != optimizer.state().end() ? found->second.get() : nullptr;
}

void replace_states(Optimizer& optimizer, OptimizerStates& states) {
  optimizer.state().clear();
  for (auto& [parameter, state] : states) {
    optimizer.state()[compat::state_key(parameter)] = std::move(state);
  }
}

bool compare_group_counts(size_t live, size_t saved, const std::string& key, RestorePlan& plan) {
  return compare_counts(live, saved, "parameter groups", key, plan);
}

bool compare_parameter_counts(size_t live, size_t saved, const std::string& key,
                              RestorePlan& plan) {
  return compare_counts(live, saved, "parameters", key, plan);
}

bool compare_parameter_names(const std::vector<std::string>& live,
                             const std::vector<std::string>& saved, const std::string& key,
                             RestorePlan& plan) {
  bool fits = true;
  for (size_t p = 0; p < live.size(); ++p) {
    if (saved[p].empty() || live[p].empty() || saved[p] == live[p]) continue;
    plan.mismatched(dotted(key, std::to_string(p)),
                    "the parameter '" + live[p] + "' here, '" + saved[p] + "' saved");
    fits = false;
  }
  return fits;
}

bool compare_state_shapes(const Dict& saved, const at::Tensor& parameter, OptimizerPlace place,
                          RestorePlan& plan) {
  bool fits = true;
  for (const auto& [name, value] : saved) {
    const at::IntArrayRef sizes = plan.whole_sizes(parameter);
    if (!value.is_tensor() || value.to_tensor().sizes() == sizes) continue;
    plan.mismatched(dotted(place(), to_string(name)),
                    "shape " + base::shape_text(value.to_tensor().sizes()) +
                        " saved, and the parameter here has " + base::shape_text(sizes));
    fits = false;
  }
  return fits;
}

bool compare_flat_sizes(const Dict& saved, const Optimizer& optimizer, OptimizerPlace place,
                        RestorePlan& plan) {
  const std::string key = place();
  int64_t elements = 0;
  for (const auto& group : optimizer.param_groups()) {
    for (const at::Tensor& parameter : group.params()) elements += parameter.numel();
  }
  bool fits = true;
  const auto compare = [&](const std::string& name, const Value& value) {
    if (!value.is_tensor() || value.to_tensor().numel() == elements) return;
    plan.mismatched(name, std::to_string(value.to_tensor().numel()) +
                              " elements saved, and the parameters here have " +
                              std::to_string(elements));
    fits = false;
  };
  for (const char* name : {"d", "prev_flat_grad"}) {
    if (const Value* value = saved.find(std::string(name))) compare(dotted(key, name), *value);
  }
  // The changes of the gradient, of the parameters, and the products of both, one for each step.
  size_t steps = 0;
  for (const char* name : {"old_dirs", "old_stps", "ro"}) {
    const Value* const list = saved.find(std::string(name));
    if (list == nullptr || list->kind() != Value::Kind::kList) continue;
    const std::string path = dotted(key, name);
    if (name == std::string("old_dirs")) steps = list->list().size();
    if (list->list().size() != steps) {
      plan.mismatched(path, std::to_string(list->list().size()) + " saved, and 'old_dirs' has " +
                                std::to_string(steps));
      fits = false;
    }
    if (name == std::string("ro")) break;
    for (size_t i = 0; i < list->list().size(); ++i) {
      compare(dotted(path, std::to_string(i)), list->list()[i]);
    }
  }
  return fits;
}

}  // namespace checkpoint::state
