#pragma once

#include "format/pickle/pickle_graph.h"

#include <optional>
#include <string_view>

// The names that a pickle may use, and the only place to add one.

namespace checkpoint::format::pickle {

/// Returns what `module.name` means; empty if this reader does not know it. TorchScript classes are
/// not covered: their module is "__torch__" or inside it, with any name.
std::optional<Cell> find_global(std::string_view module, std::string_view name);

/// Returns whether `module` contains TorchScript classes.
bool is_script_module(std::string_view module);

/// Returns whether the name can only make Python act, and never describes data.
bool acts(std::string_view module, std::string_view name);

/// Returns its name in Python, or the first of the names that mean the same here.
Name name_of(Global global);

}  // namespace checkpoint::format::pickle
