#include "reshape.h"

#include "flat.h"

#include <checkpoint/error.h>

#include <functional>
#include <optional>
#include <utility>
#include <vector>

namespace checkpoint::cli {
namespace {

// The tree with what `replace` gives in place of a value and all below it; without an answer, what
// is below is asked.
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

Value map_modules(const Value& tree, const std::function<Value(const Dict&)>& change) {
  return map_tree(tree, [&](const Value& value) -> std::optional<Value> {
    if (!is_module(value)) return std::nullopt;
    return change(value.dict());
  });
}

// A module under construction: its tensors, and its submodules in their order.
struct Node {
  std::vector<std::pair<std::string, Value>> tensors;
  std::vector<std::pair<std::string, Node>> children;

  Node& child(const std::string& name) {
    for (auto& [known, node] : children) {
      if (known == name) return node;
    }
    return children.emplace_back(name, Node()).second;
  }
};

// Throws Error(invalid_argument) where a tensor and a submodule have one name.
Dict to_dict(const Node& node) {
  Dict dict;
  for (const auto& [name, tensor] : node.tensors) dict.insert(name, tensor);
  for (const auto& [name, child] : node.children) dict.insert(name, to_dict(child));
  return dict;
}

Value nested(const Dict& module) {
  Node root;
  const Flat flat = flatten(module, SameName::kRefuse, "");
  for (const std::string& name : flat.names) {
    if (!flat.find(name)->is_tensor()) continue;
    Node* node = &root;
    size_t begin = 0;
    for (size_t dot; (dot = name.find('.', begin)) != std::string::npos; begin = dot + 1) {
      node = &node->child(name.substr(begin, dot - begin));
    }
    node->tensors.emplace_back(name.substr(begin), *flat.find(name));
  }
  try {
    return to_dict(root);
  } catch (const Error&) {
    return module;
  }
}

}  // namespace

Value with_flat_modules(const Value& tree, const Renaming& rename, const std::string& file) {
  return map_modules(tree, [&](const Dict& module) {
    Dict result;
    const Flat flat = flatten(module, SameName::kRefuse, file);
    for (const std::string& name : flat.names) {
      const Value& value = *flat.find(name);
      if (value.is_tensor()) result.insert(rename(name), value);
    }
    return Value(std::move(result));
  });
}

Value with_nested_modules(const Value& tree) { return map_modules(tree, nested); }

}  // namespace checkpoint::cli
