#pragma once

#include <checkpoint/keep.h>

#include <nlohmann/json.hpp>

#include <string>

namespace checkpoint::store {

/// Returns the retention rules as a manifest stores them: only the rules that are set. Predicates
/// are left out, because they are functions of a program.
nlohmann::ordered_json keep_to_json(const KeepRules& rules);
/// Reads the rules back. Throws Error(corrupt) with `path` and the missing or wrong field.
KeepRules keep_from_json(const nlohmann::json& object, const std::string& path);

}  // namespace checkpoint::store
