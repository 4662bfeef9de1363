#pragma once

#include <checkpoint/value.h>

#include <cstddef>
#include <string>
#include <vector>

namespace checkpoint::format {

/// Joins a path and a name with a dot, as keys are shown.
inline std::string dotted(const std::string& path, const std::string& name) {
  if (path.empty()) return name;
  std::string joined;
  joined.reserve(path.size() + 1 + name.size());
  joined.append(path).append(1, '.').append(name);
  return joined;
}

/// Returns the keys of a dict as text, in the dict's order.
inline std::vector<std::string> keys_of(const Dict& dict) {
  std::vector<std::string> keys;
  for (const auto& entry : dict) keys.push_back(to_string(entry.first));
  return keys;
}

/// The place of a value in a tree. It becomes text only on request, which is rare. It is made on
/// the stack of the code that walks through the tree: what it refers to must outlive it.
class Path {
 public:
  /// The greatest depth of a tree that can be written.
  static constexpr int kMaxDepth = 100;

  /// The root of a whole file: "".
  Path() = default;
  /// The root of a tree that has a name.
  explicit Path(const std::string& root) : root_(&root) {}
  /// A dict's entry.
  Path(const Path& above, const Key& key) : above_(&above), key_(&key), depth_(above.depth_ + 1) {}
  /// An element of a list or tuple.
  Path(const Path& above, size_t index) : above_(&above), index_(index), depth_(above.depth_ + 1) {}

  /// Returns the path with dots: "model.layers.0.weight".
  std::string text() const;
  /// Returns the value at the same place of another tree, or null.
  const Value* find_in(const Value& tree) const;
  /// Throws Error(unsupported) if the path is deeper than kMaxDepth: functions that walk through a
  /// tree are recursive.
  void check_depth() const;

 private:
  size_t most_characters() const;
  void append_to(std::string& text) const;

  const std::string* root_ = nullptr;
  const Path* above_ = nullptr;
  const Key* key_ = nullptr;
  size_t index_ = 0;
  int depth_ = 0;
};

template <typename Tree, typename Visit>
void for_each_tensor(Tree& tree, const Path& path, const Visit& visit);

/// Does what for_each_tensor does, for the entries of a dict.
template <typename Entries, typename Visit>
void for_each_tensor_of(Entries& dict, const Path& path, const Visit& visit) {
  dict.for_each(
      [&](const Key& key, auto& entry) { for_each_tensor(entry, Path(path, key), visit); });
}

/// Calls `visit(value, path)` for each tensor of a tree, in the tree's order. If the tree is not
/// const, `visit` may replace the value by another tensor.
template <typename Tree, typename Visit>
void for_each_tensor(Tree& tree, const Path& path, const Visit& visit) {
  const auto visit_all = [&](auto& values) {
    for (size_t i = 0; i < values.size(); ++i) for_each_tensor(values[i], Path(path, i), visit);
  };
  switch (tree.kind()) {
    case Value::Kind::kTensor:
      visit(tree, path);
      break;
    case Value::Kind::kList:
      visit_all(tree.list());
      break;
    case Value::Kind::kTuple:
      visit_all(tree.tuple());
      break;
    case Value::Kind::kOpaque:
      visit_all(tree.opaque().parts);
      break;
    case Value::Kind::kDict:
      for_each_tensor_of(tree.dict(), path, visit);
      break;
    default:
      break;
  }
}

}  // namespace checkpoint::format
