#pragma once

#include "format/dcp/index.h"

#include <checkpoint/value.h>

#include <string>
#include <vector>

namespace checkpoint::format::dcp {

/// Puts values at their places: `values` has one for each entry of `index`, and is emptied. An
/// entry without a path goes below its key, at the top. Lists and dicts come in the order of the
/// entries.
///
/// DCP makes texts of all integer keys. Those of an optimizer become integers again: the keys with
/// digits alone in a dict `state` that stands beside `param_groups`. It also leaves out empty
/// dicts; an optimizer without a `state` gets an empty one.
///
/// Throws Error(corrupt), with the path `file`, if two values have one place, if a value is in
/// another one, or if a list has a hole.
Value tree_of(const Index& index, std::vector<Value> values, const std::string& file);

}  // namespace checkpoint::format::dcp
