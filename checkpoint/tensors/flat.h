#pragma once

#include <checkpoint/value.h>

#include <map>
#include <string>
#include <vector>

namespace checkpoint::cli {

/// What a tree holds, by dotted names: tensors and other values, in the tree's order.
struct Flat {
  std::vector<std::string> names;
  std::map<std::string, Value> values;  ///< Tensors, and what is neither list, tuple nor dict.

  const Value* find(const std::string& name) const;
};

Flat flatten(const Value& tree);

}  // namespace checkpoint::cli
