#pragma once

#include <checkpoint/value.h>

#include <string>

namespace checkpoint::cli {

/// Returns a value as `diff` shows it: a tensor's dtype and shape, a number, "dtype Float", "empty
/// list", or the beginning of long bytes.
std::string text_of(const Value& value);

/// Returns whether two values have the same kind and are equal. Not for tensors, and for containers
/// only if they are empty. NaN equals NaN, but -0.0 does not equal 0.0.
bool same_value(const Value& left, const Value& right);

}  // namespace checkpoint::cli
