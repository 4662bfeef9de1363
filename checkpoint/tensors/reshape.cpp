#include "reshape.h"

#include "flat.h"

#include "format/tree/nested.h"
#include "format/tree/path.h"

#include <checkpoint/error.h>

#include <functional>
#include <optional>
#include <utility>
#include <vector>

namespace checkpoint::cli {
namespace {

// Returns a copy of the tree. Calls `replace` for each value, from the top: its result replaces the
// value and everything below it. Without a result, continues with the values below.
using Replace = std::function<std::optional<Value>(const Value&)>;
Value map_tree(const Value& tree, const Replace& replace) {
  if (std::optional<Value> replaced = replace(tree)) return std::move(*replaced);
  const auto map_all = [&](const std::vector<Value>& items) {
    std::vector<Value> result;
    for (const Value& item : items) result.push_back(map_tree(item, replace));
    return result;
  };
  switch (tree.kind()) {
    case Value::Kind::kList:
      return Value(map_all(tree.list()));
    case Value::Kind::kTuple:
      return Tuple{map_all(tree.tuple())};
    case Value::Kind::kDict: {
      Dict result;
      for (const auto& [key, value] : tree.dict()) result.insert(key, map_tree(value, replace));
      return result;
    }
    default:
      return tree;
  }
}

// An optimizer by the two keys that all of its forms have. Its states may look like modules: under
// the parameters' names, or with nothing but tensors in them.
bool holds_optimizer(const Value& value) {
  return value.contains("state") && value.contains("param_groups") && !is_module(value);
}

Value map_modules(const Value& tree, const std::function<Value(const Dict&)>& change) {
  return map_tree(tree, [&](const Value& value) -> std::optional<Value> {
    if (holds_optimizer(value)) return value;
    if (!is_module(value)) return std::nullopt;
    return change(value.dict());
  });
}

}  // namespace

Value with_flat_modules(const Value& tree, const Renaming& rename, const std::string& file,
                        EmptyModules empty_modules) {
  return map_modules(tree, [&](const Dict& module) {
    Dict result;
    const Flat flat = flatten(module, SameName::kRefuse, file);
    for (const std::string& name : flat.names) {
      const Value& value = *flat.find(name);
      if (value.is_tensor()) result.insert(rename(name), value);
    }
    if (empty_modules == EmptyModules::kLeftOut) return Value(std::move(result));
    std::vector<std::string> names;
    format::find_empty_modules(module, "", names);
    for (const std::string& name : names) {
      const std::string renamed = rename(name);
      if (!result.contains(renamed)) result.insert(renamed, Dict());
    }
    return Value(std::move(result));
  });
}

Value with_nested_modules(const Value& tree) {
  return map_modules(tree, [](const Dict& module) {
    std::optional<Dict> nested = format::nested(module);
    return nested ? Value(std::move(*nested)) : Value(module);
  });
}

}  // namespace checkpoint::cli
