#pragma once

#include <checkpoint/value.h>

#include <map>
#include <string>
#include <vector>

namespace checkpoint::cli {

/// The tensors and other values of a tree, by dotted names, in the tree's order.
struct Flat {
  std::vector<std::string> names;
  /// All values except lists, tuples and dicts, of which only the empty ones are here.
  std::map<std::string, Value> values;
  /// The kinds of the other lists, tuples and dicts: "list", "tuple", "dict", "dict with integer
  /// keys".
  std::map<std::string, std::string> containers;

  /// Returns the value of that name, or null.
  const Value* find(const std::string& name) const;
};

/// What to do if two places of a tree have the same dotted name: the key "a.b", and the key "b" of
/// the dict "a".
enum class SameName {
  kRefuse,  ///< Throw Error(invalid_argument) with the name.
  kNumber,  ///< Call the second one "a.b (2)".
};

/// Makes a tree flat. `file` is the path that the tree came from, for the error text.
Flat flatten(const Value& tree, SameName same_name, const std::string& file);

/// Returns whether a tree is a module: a dict with string keys that has only tensors and dicts of
/// the same kind. Inner dicts may be empty (a submodule without parameters).
bool is_module(const Value& tree);

}  // namespace checkpoint::cli
