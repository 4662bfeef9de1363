#pragma once

#include "state/items/optimizer_place.h"
#include "state/plan/restore_plan.h"

#include <checkpoint/value.h>

#include <torch/optim/optimizer.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

// What every way of restoring an optimizer compares, and how new states replace the old ones. The
// compare_ functions return false if they added a difference to the report.

namespace checkpoint::state {

/// Parameters, and the state that each will have.
using OptimizerStates =
    std::vector<std::pair<at::Tensor, std::unique_ptr<torch::optim::OptimizerParamState>>>;

/// Returns what an optimizer keeps for a parameter; null before its first step.
const torch::optim::OptimizerParamState* find_state(const torch::optim::Optimizer& optimizer,
                                                    const at::Tensor& parameter);
/// Makes these the optimizer's only states. LibTorch's own load merges, and so keeps stale ones.
void replace_states(torch::optim::Optimizer& optimizer, OptimizerStates& states);

/// Compares the numbers of parameter groups.
bool compare_group_counts(size_t live, size_t saved, const std::string& key, RestorePlan& plan);
/// Compares the numbers of parameters of one group.
bool compare_parameter_counts(size_t live, size_t saved, const std::string& key, RestorePlan& plan);
/// Compares the names of parameters one by one; "" is an unknown name. `live` and `saved` must have
/// equal sizes.
bool compare_parameter_names(const std::vector<std::string>& live,
                             const std::vector<std::string>& saved, const std::string& key,
                             RestorePlan& plan);
/// Compares the shapes of a parameter's saved state with the parameter's. LibTorch would accept
/// another shape, and only throw in step().
bool compare_state_shapes(const Dict& saved, const at::Tensor& parameter, OptimizerPlace place,
                          RestorePlan& plan);
/// Compares the sizes of LBFGS's vectors with those of all parameters together.
bool compare_flat_sizes(const Dict& saved, const torch::optim::Optimizer& optimizer,
                        OptimizerPlace place, RestorePlan& plan);

}  // namespace checkpoint::state
