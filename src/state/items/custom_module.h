#pragma once

#include "state/plan/restore_plan.h"

#include <checkpoint/value.h>

#include <torch/nn/module.h>

#include <string>

namespace checkpoint::state {

/// What a module whose type overrides `save` or `load` writes by itself: its whole subtree.
Value capture_custom_module(torch::nn::Module& module, const std::string& path);

/// Plans to call the module's own `load`. Those of its parameters and buffers that its `save`
/// writes are compared with the file first. They keep their identity and, where dtype, shape and
/// device still agree after `load`, their memory. If anything fails later, all of them get their
/// old bits back, and the rest is undone by `load` with what `save` said before.
void plan_custom_module(torch::nn::Module& module, const Value& saved, const std::string& path,
                        RestorePlan& plan);

}  // namespace checkpoint::state
