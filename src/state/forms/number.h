#pragma once

#include <checkpoint/value.h>

namespace checkpoint::state {

/// Returns the number in a tensor of one element, where Python may hold a number in a tensor: an
/// int or a double. Returns any other value as it is.
Value plain_number(const Value& value);
/// Does the same for what LibTorch counts in an int64_t: a double without a fraction becomes an
/// int. Any other value stays, and to_int() refuses it.
Value plain_count(const Value& value);
/// Returns a number as a double. Any other value stays, and to_double() refuses it.
Value plain_double(const Value& value);

}  // namespace checkpoint::state
