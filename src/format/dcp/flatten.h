#pragma once

#include "format/dcp/index.h"

#include <checkpoint/value.h>

#include <string>
#include <vector>

namespace checkpoint::format::dcp {

/// A value that gets a blob of its own.
struct Leaf {
  std::string key;         ///< The path with dots.
  std::vector<Step> path;  ///< Its place in the tree.
  const Value* value;      ///< In the tree that was given.
};

/// Divides a tree as PyTorch 2.4 and later do, so that dcp.load finds each key that it asks for.
/// All dicts are opened. A list is opened if it has a tensor, a dict, or a list that is opened; a
/// tuple never is. Integer keys become texts. Only one thing differs: Python leaves out an empty
/// dict, and this makes it a leaf, so that reading gives it back.
///
/// `tree` must outlive the result. Throws Error(unsupported), with the key, if two values have the
/// same key, if a key is not UTF-8, or for nesting deeper than 100.
std::vector<Leaf> flatten(const Dict& tree);

}  // namespace checkpoint::format::dcp
