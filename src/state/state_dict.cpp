#include "format/save_tree.h"
#include "format/tree_json.h"
#include "state/module.h"
#include "state/restore.h"
#include "state/restore_plan.h"

#include <checkpoint/error.h>
#include <checkpoint/state_dict.h>

#include <torch/torch.h>

namespace checkpoint {
namespace {

Dict to_dict(const StateDict& dict) {
  Dict result;
  for (const auto& entry : dict) result.insert(entry.key(), entry.value());
  return result;
}

StateDict weights_of(const Value& tree) {
  StateDict weights;
  for (const auto& [name, tensor] : format::named_tensors(tree)) weights.insert(name, tensor);
  return weights;
}

}  // namespace

StateDict state_dict(const torch::nn::Module& module) {
  StateDict result;
  for (const auto& parameter : module.named_parameters()) {
    result.insert(parameter.key(), parameter.value().detach());
  }
  for (const auto& buffer : module.named_buffers()) {
    result.insert(buffer.key(), buffer.value().detach());
  }
  return result;
}

RestoreReport load_state_dict(torch::nn::Module& module, const StateDict& dict, Strict strict) {
  return load_state_dict(module, dict, RestoreOptions().strict(strict));
}

RestoreReport load_state_dict(torch::nn::Module& module, const StateDict& dict,
                              const RestoreOptions& options) {
  const state::TensorSource source;
  state::RestorePlan plan(source, options);
  state::plan_module(module, to_dict(dict), "", state::OwnLoad::kIgnored, plan);
  state::settle(plan, options.strict(), "");
  plan.run();
  return plan.report();
}

void copy_weights(const torch::nn::Module& from, torch::nn::Module& to) {
  load_state_dict(to, state_dict(from));
}

void update_average(torch::nn::Module& average, const torch::nn::Module& model, double decay) {
  const torch::NoGradGuard no_grad;
  const StateDict old = state_dict(average);
  StateDict mixed = state_dict(model);
  for (auto& entry : mixed) {
    const at::Tensor* const before = old.find(entry.key());
    // What does not fit is left for load_state_dict to refuse.
    const bool fits = before != nullptr && before->sizes() == entry.value().sizes();
    if (!fits || !entry.value().is_floating_point()) continue;
    entry.value() = *before * decay + entry.value().to(before->options()) * (1 - decay);
  }
  load_state_dict(average, mixed);
}

void save(const StateDict& dict, const std::string& path, const SaveOptions& options) {
  format::save_tree(Value(to_dict(dict)), format::RootDict::kOrdered, path, options);
}

StateDict load_weights(const std::string& path, const LoadOptions& options,
                       const std::string& item) {
  const Value tree = load(path, options);
  if (item.empty()) return weights_of(tree);
  const Value* const chosen = tree.dict().find(item);
  if (chosen == nullptr) {
    throw Error(ErrorCode::kNotFound, "the file has no item '" + item + "'", path);
  }
  return weights_of(*chosen);
}

StateDict load_weights(const std::string& path, const MapLocation& map_location,
                       const std::string& item) {
  return load_weights(path, LoadOptions().map_location(map_location), item);
}

}  // namespace checkpoint
