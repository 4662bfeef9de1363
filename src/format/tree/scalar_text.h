#pragma once

#include <checkpoint/value.h>

#include <string>

namespace checkpoint::format {

/// Returns a bool, number or text as an error shows it: "300", "1e+300", "'text'". Returns "" for
/// other kinds.
std::string scalar_text(const Value& value);

}  // namespace checkpoint::format
