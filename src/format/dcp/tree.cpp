#include "format/dcp/tree.h"

#include "base/in_quotes.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <cctype>
#include <limits>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>

namespace checkpoint::format::dcp {
namespace {

constexpr char kState[] = "state";
constexpr char kGroups[] = "param_groups";
constexpr char kParams[] = "params";

// A place in the tree that is being built.
struct Node {
  enum class Kind { kNew, kValue, kDict, kList };

  Kind kind = Kind::kNew;
  Value value = {};
  // Of a dict or list: its parts, in order. A list's are looked up by their index.
  std::vector<std::pair<Step, std::unique_ptr<Node>>> parts = {};
  std::unordered_map<std::string, size_t> by_name = {};
  std::unordered_map<int64_t, size_t> by_index = {};
};

class Builder {
 public:
  explicit Builder(const std::string& file) : file_(file) {}

  void add(const Entry& entry, Value value) {
    Node* node = &root_;
    if (entry.path.empty()) {
      node = &part_of(*node, Step(entry.key), entry);
    } else {
      for (const Step& step : entry.path) node = &part_of(*node, step, entry);
    }
    if (node->kind != Node::Kind::kNew) refuse(entry);
    node->kind = Node::Kind::kValue;
    node->value = std::move(value);
  }

  Value finish() {
    if (root_.kind == Node::Kind::kNew) return Dict();
    return made(root_);
  }

 private:
  Node& part_of(Node& node, const Step& step, const Entry& entry) const {
    const auto* name = std::get_if<std::string>(&step);
    const Node::Kind kind = name != nullptr ? Node::Kind::kDict : Node::Kind::kList;
    if (node.kind == Node::Kind::kNew) node.kind = kind;
    if (node.kind != kind) refuse(entry);
    const size_t next = node.parts.size();
    const auto [at, is_new] = [&] {
      if (name != nullptr) {
        const auto found = node.by_name.emplace(*name, next);
        return std::pair(found.first->second, found.second);
      }
      const auto found = node.by_index.emplace(std::get<int64_t>(step), next);
      return std::pair(found.first->second, found.second);
    }();
    if (is_new) node.parts.emplace_back(step, std::make_unique<Node>());
    return *node.parts[at].second;
  }

  Value made(Node& node) const {
    switch (node.kind) {
      case Node::Kind::kDict:
        return made_dict(node);
      case Node::Kind::kList:
        return made_list(node);
      default:
        return std::move(node.value);
    }
  }

  Value made_dict(Node& node) const {
    Dict dict;
    for (auto& [step, part] : node.parts) dict.insert(std::get<std::string>(step), made(*part));
    restore_optimizer(dict);
    return dict;
  }

  Value made_list(Node& node) const {
    Value::List list(node.parts.size());
    for (auto& [step, part] : node.parts) {
      const auto index = static_cast<uint64_t>(std::get<int64_t>(step));
      if (index >= list.size()) {
        throw Error(ErrorCode::kCorrupt,
                    "the index has a list that lacks an element before its element " +
                        std::to_string(index),
                    file_);
      }
      list[index] = made(*part);
    }
    return list;
  }

  // Whether it is surely an optimizer's: `param_groups` is a list of dicts that have `params`.
  static bool has_parameters(const Value& groups) {
    return !groups.list().empty() &&
           std::all_of(groups.list().begin(), groups.list().end(), [](const Value& group) {
             return group.is_dict() && group.dict().contains(kParams);
           });
  }

  static void restore_optimizer(Dict& dict) {
    const Value* const groups = dict.find(kGroups);
    if (groups == nullptr || groups->kind() != Value::Kind::kList) return;
    Value* const state = dict.find(kState);
    if (state == nullptr) {
      if (has_parameters(*groups)) dict.insert(kState, Dict());
    } else if (state->is_dict()) {
      *state = with_integer_keys(state->dict());
    }
  }

  static Dict with_integer_keys(const Dict& state) {
    Dict result;
    for (const auto& [key, value] : state) {
      const std::optional<int64_t> number = number_of(std::get<std::string>(key));
      result.insert(number ? Key(*number) : key, value);
    }
    return result;
  }

  // The number that Python would write like this.
  static std::optional<int64_t> number_of(const std::string& text) {
    constexpr size_t kMostDigits = std::numeric_limits<int64_t>::digits10;
    if (text.empty() || text.size() > kMostDigits || (text.size() > 1 && text[0] == '0') ||
        !std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c); })) {
      return std::nullopt;
    }
    return std::stoll(text);
  }

  [[noreturn]] void refuse(const Entry& entry) const {
    throw Error(
        ErrorCode::kCorrupt,
        "the place of " + base::in_quotes(entry.key) + " in the tree is that of another value",
        file_);
  }

  const std::string& file_;
  Node root_;
};

}  // namespace

Value tree_of(const Index& index, std::vector<Value> values, const std::string& file) {
  Builder builder(file);
  for (size_t i = 0; i < values.size(); ++i) builder.add(index.entries[i], std::move(values[i]));
  return builder.finish();
}

}  // namespace checkpoint::format::dcp
