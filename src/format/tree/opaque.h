#pragma once

#include "format/tree/path.h"

#include <checkpoint/value.h>

#include <string>
#include <string_view>

namespace checkpoint::format {

/// What to do in Python about a value of this class.
std::string what_to_do(std::string_view class_name);

/// Throws Error(unsupported): no format writes an opaque value.
[[noreturn]] void refuse_to_save(const Opaque& opaque, const std::string& path);

/// Throws Error(unsupported) if a tensor stands in an opaque value, which says what it is for; or
/// if the whole tree is one. Who takes a tree's tensors alone would lose it.
void check_tensors_are_plain(const Value& tree);

}  // namespace checkpoint::format
