#pragma once

#include <checkpoint/file.h>
#include <checkpoint/value.h>

#include <string>

// Weights by name, in a file and out of it.

namespace checkpoint::format {

/// The tensors of a StateDict, as they are.
Dict to_dict(const StateDict& dict);

/// The whole tree, or with `item` the part that has this name. `path` is for the error:
/// Error(not_found), with the names that are there.
const Value& choose(const Value& tree, const std::string& item, const std::string& path);

/// "a list", "an int": what a tree is, for an error.
std::string a_kind_of(const Value& tree);

}  // namespace checkpoint::format
