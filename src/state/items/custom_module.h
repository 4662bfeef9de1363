#pragma once

#include "state/plan/restore_plan.h"

#include <checkpoint/value.h>

#include <torch/nn/module.h>

#include <string>

namespace checkpoint::state {

/// Returns what the module's own `save` writes: its whole subtree. For a module whose type
/// overrides `save` or `load`.
Value capture_custom_module(torch::nn::Module& module, const std::string& path);

/// Plans to call the module's own `load`. First compares the parameters and buffers that its `save`
/// writes with what was saved. They keep their identity. They also keep their memory if dtype,
/// shape and device are still the same after `load`. If a later step fails, they get their old bits
/// back. The rest is undone by calling `load` with what `save` wrote before.
void plan_custom_module(torch::nn::Module& module, const Value& saved, const std::string& path,
                        RestorePlan& plan);

}  // namespace checkpoint::state
