#pragma once

#include "format/tree/path.h"

#include <checkpoint/value.h>

#include <string>
#include <string_view>

namespace checkpoint::format {

/// Returns a hint: what to do in Python about a value of this class.
std::string what_to_do(std::string_view class_name);

/// Throws Error(unsupported): an opaque value cannot be written in any format.
[[noreturn]] void refuse_to_save(const Opaque& opaque, const std::string& path);

/// Throws Error(unsupported) if the whole tree is an opaque value, or if a tensor is inside one;
/// the error names its class. A caller that takes only the tensors of the tree would lose that
/// value.
void check_tensors_are_plain(const Value& tree);

}  // namespace checkpoint::format
