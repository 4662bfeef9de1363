#pragma once

#include <checkpoint/value.h>

#include <string>

namespace checkpoint::cli {

/// A value as `diff` shows it: a tensor's dtype and shape, a number, "dtype Float", "empty list",
/// the beginning of long bytes.
std::string text_of(const Value& value);

/// Whether two values that are neither tensors nor containers with something in them are of one
/// kind and equal. NaN is equal to NaN, and -0.0 is not to 0.0.
bool same_value(const Value& left, const Value& right);

}  // namespace checkpoint::cli
