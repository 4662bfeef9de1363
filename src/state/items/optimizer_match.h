#pragma once

#include "state/plan/restore_plan.h"

#include <checkpoint/value.h>

#include <torch/optim/optimizer.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

// What every way of restoring an optimizer compares, and how a new state replaces the old one. The
// compare_ functions return false if the report says now what differs.

namespace checkpoint::state {

/// Parameters, and the state that each will have.
using OptimizerStates =
    std::vector<std::pair<at::Tensor, std::unique_ptr<torch::optim::OptimizerParamState>>>;

/// What an optimizer keeps for a parameter. Null before its first step.
const torch::optim::OptimizerParamState* find_state(const torch::optim::Optimizer& optimizer,
                                                    const at::Tensor& parameter);
/// Makes these the only states. LibTorch's own load merges, and keeps stale ones.
void replace_states(torch::optim::Optimizer& optimizer, OptimizerStates& states);

/// Compares the numbers of parameter groups.
bool compare_group_counts(size_t live, size_t saved, const std::string& key, RestorePlan& plan);
/// Compares the numbers of parameters of one group.
bool compare_parameter_counts(size_t live, size_t saved, const std::string& key, RestorePlan& plan);
/// Compares the names of parameters place by place; "" for an unknown name. Both have equal sizes.
bool compare_parameter_names(const std::vector<std::string>& live,
                             const std::vector<std::string>& saved, const std::string& key,
                             RestorePlan& plan);
/// Compares the shapes of a parameter's saved state with the parameter's. LibTorch would accept
/// another shape, and throw in step().
bool compare_state_shapes(const Dict& saved, const at::Tensor& parameter, const std::string& key,
                          RestorePlan& plan);

}  // namespace checkpoint::state
