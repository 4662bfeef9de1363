// LibTorch's two schedulers in the form that Python's scheduler.state_dict() has.

#include "compat/torch_compat.h"
#include "state/forms/scheduler_tree.h"
#include "state/items/scheduler.h"
#include "state/plan/restore_plan.h"

#include <checkpoint/error.h>
#include <checkpoint/state_dict.h>

#include <torch/torch.h>

#include <string>
#include <vector>

namespace checkpoint {
namespace {

state::LearningRates rates_of(const torch::optim::Optimizer& optimizer) {
  state::LearningRates rates;
  for (const auto& group : optimizer.param_groups()) rates.push_back(group.options().get_lr());
  return rates;
}

RestoreReport load_into(state::Item& item, const Value& state_dict) {
  if (!state::is_python_scheduler(state_dict)) {
    throw Error(ErrorCode::kIncompatible,
                "not the state_dict of Python's StepLR or ReduceLROnPlateau", "", 0,
                "LibTorch has no other schedulers.");
  }
  const Value tree = state::to_libtorch_scheduler(state_dict);
  const ItemEntry entry = item.entry();
  const state::TensorSource source;
  const RestoreOptions options;
  state::RestorePlan plan(source, options);
  item.plan({tree, entry, {}, {}, {}}, {}, plan);
#if TORCH_CHECKPOINT_HAS_PLATEAU
  const auto is = [&](const char* key, const char* mode) {
    return tree.contains(key) && tree[key].kind() == Value::Kind::kString &&
           tree[key].to_string() == mode;
  };
  if (is("mode", "max") && is("threshold_mode", "abs")) {
    plan.mismatched("threshold_mode",
                    "with the mode max, LibTorch multiplies the threshold where Python adds it");
  }
#endif
  plan.require_fit("");
  plan.run();
  return plan.report();
}

}  // namespace

Value scheduler_state_dict(torch::optim::LRScheduler& scheduler,
                           const torch::optim::Optimizer& optimizer) {
  return state::to_python_scheduler(state::make_scheduler_item("", scheduler)->capture(),
                                    rates_of(optimizer));
}

RestoreReport load_scheduler_state_dict(torch::optim::LRScheduler& scheduler,
                                        const Value& state_dict) {
  return load_into(*state::make_scheduler_item("", scheduler), state_dict);
}

#if TORCH_CHECKPOINT_HAS_PLATEAU
Value scheduler_state_dict(torch::optim::ReduceLROnPlateauScheduler& scheduler,
                           const torch::optim::Optimizer& optimizer) {
  return state::to_python_scheduler(state::make_scheduler_item("", scheduler)->capture(),
                                    rates_of(optimizer));
}

RestoreReport load_scheduler_state_dict(torch::optim::ReduceLROnPlateauScheduler& scheduler,
                                        const Value& state_dict) {
  return load_into(*state::make_scheduler_item("", scheduler), state_dict);
}
#endif

}  // namespace checkpoint
