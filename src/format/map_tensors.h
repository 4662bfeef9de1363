#pragma once

#include <checkpoint/value.h>

#include <ATen/core/Tensor.h>

#include <functional>

namespace checkpoint::format {

/// The tree with each tensor replaced by what `replace` gives for it. A tensor that comes several
/// times is replaced once: its places stay one tensor.
Value map_tensors(const Value& tree, const std::function<at::Tensor(const at::Tensor&)>& replace);

}  // namespace checkpoint::format
