#pragma once

#include <checkpoint/value.h>

#include <optional>
#include <vector>

namespace checkpoint::format {

/// A value of a kind that a LibTorch archive has no form for (a size, dtype, device, bytes, big
/// int) as a pair that it can hold: ("torch_checkpoint.dtype", "float32").
Value to_tagged(const Value& value);

/// The way back. Empty for a tuple that is only a tuple.
std::optional<Value> from_tagged(const std::vector<Value>& items);

}  // namespace checkpoint::format
