#include "flat.h"

#include "format/tree/path.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <variant>

namespace checkpoint::cli {
namespace {

using format::dotted;

bool is_empty_dict(const Value& value) { return value.is_dict() && value.dict().empty(); }

bool has_tensor(const Dict& dict) {
  return std::any_of(dict.begin(), dict.end(), [](const auto& entry) {
    return entry.second.is_tensor() || (entry.second.is_dict() && has_tensor(entry.second.dict()));
  });
}

// Collects the values of a tree under their dotted names.
class Flattener {
 public:
  Flattener(SameName same_name, const std::string& file) : same_name_(same_name), file_(file) {}

  void collect(const Value& value, const std::string& path) {
    switch (value.kind()) {
      case Value::Kind::kList:
        return collect_all(value, value.list(), path);
      case Value::Kind::kTuple:
        return collect_all(value, value.tuple(), path);
      case Value::Kind::kDict:
        return collect_dict(value, path);
      default:
        add(path, value);
    }
  }

  Flat take() { return std::move(flat_); }

 private:
  void collect_all(const Value& container, const std::vector<Value>& items,
                   const std::string& path) {
    if (items.empty()) return add(path, container);
    flat_.containers.emplace(path, to_string(container.kind()));
    for (size_t i = 0; i < items.size(); ++i) collect(items[i], dotted(path, std::to_string(i)));
  }

  void collect_dict(const Value& container, const std::string& path) {
    const Dict& dict = container.dict();
    if (dict.empty()) return add(path, container);
    const bool integers = std::any_of(dict.begin(), dict.end(), [](const auto& entry) {
      return std::holds_alternative<int64_t>(entry.first);
    });
    flat_.containers.emplace(path, integers ? "dict with integer keys" : "dict");
    // A nested module has dicts for submodules without tensors. A flat state_dict does not, so we
    // skip them.
    const bool passes_by_empty = is_module(container) && has_tensor(dict);
    for (const auto& [key, entry] : dict) {
      if (passes_by_empty && is_empty_dict(entry)) continue;
      collect(entry, dotted(path, to_string(key)));
    }
  }

  void add(const std::string& wanted, const Value& value) {
    std::string name = wanted;
    for (int count = 2; !flat_.values.emplace(name, value).second; ++count) {
      if (same_name_ == SameName::kRefuse) {
        throw Error(
            ErrorCode::kInvalidArgument, "two values would have the name '" + wanted + "'", file_,
            0,
            "Convert one item that holds only one of them (--item), or rename one where the "
            "file was written.");
      }
      name = wanted + " (" + std::to_string(count) + ")";
    }
    flat_.names.push_back(name);
  }

  const SameName same_name_;
  const std::string& file_;
  Flat flat_;
};

}  // namespace

const Value* Flat::find(const std::string& name) const {
  const auto found = values.find(name);
  return found != values.end() ? &found->second : nullptr;
}

Flat flatten(const Value& tree, SameName same_name, const std::string& file) {
  Flattener flattener(same_name, file);
  flattener.collect(tree, "");
  return flattener.take();
}

bool is_module(const Value& tree) {
  return tree.is_dict() && !tree.dict().empty() &&
         std::all_of(tree.dict().begin(), tree.dict().end(), [](const auto& entry) {
           return std::holds_alternative<std::string>(entry.first) &&
                  (entry.second.is_tensor() || is_module(entry.second) ||
                   is_empty_dict(entry.second));
         });
}

}  // namespace checkpoint::cli
