#pragma once

#include "format/tree/path.h"

#include <checkpoint/value.h>

#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace checkpoint::format {

/// Nests a flat dict of dotted names as LibTorch's modules are laid out: "a.b" becomes "b" in the
/// dict "a". An empty dict is a submodule without tensors. Returns empty if a name belongs to both
/// a tensor and a submodule, or if a key is not a string.
inline std::optional<Dict> nested(const Dict& flat) {
  const auto submodule = [](Dict& module, const std::string& name) -> Dict* {
    if (!module.contains(name)) module.insert(name, Dict());
    Value* const found = module.find(name);
    return found->is_dict() ? &found->dict() : nullptr;
  };
  Dict root;
  for (const auto& [key, value] : flat) {
    const auto* const name = std::get_if<std::string>(&key);
    if (name == nullptr) return {};
    Dict* module = &root;
    size_t begin = 0;
    for (size_t dot; (dot = name->find('.', begin)) != std::string::npos; begin = dot + 1) {
      module = submodule(*module, name->substr(begin, dot - begin));
      if (module == nullptr) return {};
    }
    const std::string last = name->substr(begin);
    if (value.is_dict()) {
      if (submodule(*module, last) == nullptr) return {};
    } else if (module->contains(last)) {
      return {};
    } else {
      module->insert(last, value);
    }
  }
  return root;
}

/// Adds the dotted names of the empty dicts in a nested tree: submodules without tensors.
inline void find_empty_modules(const Dict& module, const std::string& path,
                               std::vector<std::string>& names) {
  for (const auto& [key, value] : module) {
    if (!value.is_dict()) continue;
    const std::string name = dotted(path, to_string(key));
    if (value.dict().empty()) names.push_back(name);
    find_empty_modules(value.dict(), name, names);
  }
}

}  // namespace checkpoint::format
