#pragma once

#include <checkpoint/value.h>

#include <map>
#include <string>
#include <vector>

namespace checkpoint::cli {

/// What a tree holds, by dotted names: tensors and other values, in the tree's order.
struct Flat {
  std::vector<std::string> names;
  /// Tensors, what is neither list, tuple nor dict, and empty ones of these.
  std::map<std::string, Value> values;
  /// What kind the others are: "list", "tuple", "dict", "dict with integer keys".
  std::map<std::string, std::string> containers;

  const Value* find(const std::string& name) const;
};

/// What becomes of two places of a tree that have one dotted name ("a.b" in one dict with "b" in
/// "a").
enum class SameName {
  kRefuse,  ///< Error(invalid_argument), which tells the name.
  kNumber,  ///< The second one is called "a.b (2)".
};

/// `file` is where the tree came from, for the error.
Flat flatten(const Value& tree, SameName same_name, const std::string& file);

/// Whether a tree is a module's: a dict of nothing but tensors and dicts of such, under string
/// keys. There may be dicts with nothing in them (a submodule without parameters).
bool is_module(const Value& tree);

}  // namespace checkpoint::cli
