#pragma once

#include <checkpoint/file.h>
#include <checkpoint/value.h>

#include <string>

// Weights by name: from a tree, and into one.

namespace checkpoint::format {

/// Returns the tensors of a StateDict as a Dict, without copies.
Dict to_dict(const StateDict& dict);

/// Returns the whole tree, or the part named `item` if it is not empty. `path` is for the error.
/// Throws Error(not_found), with the names in the tree.
const Value& choose(const Value& tree, const std::string& item, const std::string& path);

/// Returns what kind of value a tree is, for an error: "a list", "an int".
std::string a_kind_of(const Value& tree);

}  // namespace checkpoint::format
