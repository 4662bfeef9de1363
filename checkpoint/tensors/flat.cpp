#include "flat.h"

namespace checkpoint::cli {
namespace {

std::string dotted(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + '.' + name;
}

void collect(const Value& value, const std::string& path, Flat& flat) {
  const auto collect_all = [&](const std::vector<Value>& items) {
    for (size_t i = 0; i < items.size(); ++i) {
      collect(items[i], dotted(path, std::to_string(i)), flat);
    }
  };
  switch (value.kind()) {
    case Value::Kind::kList:
      return collect_all(value.list());
    case Value::Kind::kTuple:
      return collect_all(value.tuple());
    case Value::Kind::kDict:
      for (const auto& [key, entry] : value.dict()) {
        collect(entry, dotted(path, to_string(key)), flat);
      }
      return;
    default:
      // Two places of a tree may have one dotted name ("a.b" in a dict beside "b" in "a").
      if (flat.values.emplace(path, value).second) flat.names.push_back(path);
  }
}

}  // namespace

const Value* Flat::find(const std::string& name) const {
  const auto found = values.find(name);
  return found != values.end() ? &found->second : nullptr;
}

Flat flatten(const Value& tree) {
  Flat flat;
  collect(tree, "", flat);
  return flat;
}

}  // namespace checkpoint::cli
