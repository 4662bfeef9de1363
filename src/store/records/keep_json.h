#pragma once

#include <checkpoint/keep.h>

#include <nlohmann/json.hpp>

#include <string>

namespace checkpoint::store {

/// The rules of retention as a manifest holds them: those that are set. Predicates are left out:
/// they are functions of a program.
nlohmann::ordered_json keep_to_json(const KeepRules& rules);
/// Reads them back. Throws Error(corrupt) naming `path` and the field that is missing or wrong.
KeepRules keep_from_json(const nlohmann::json& object, const std::string& path);

}  // namespace checkpoint::store
