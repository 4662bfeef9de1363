#pragma once

#include <checkpoint/value.h>

#include <optional>
#include <vector>

namespace checkpoint::format {

/// Returns a pair that a LibTorch archive can hold for a value that it cannot hold (a size, dtype,
/// device, bytes, big int): ("torch_checkpoint.dtype", "float32").
Value to_tagged(const Value& value);

/// Returns the value of such a pair; empty for an ordinary tuple.
std::optional<Value> from_tagged(const std::vector<Value>& items);

}  // namespace checkpoint::format
