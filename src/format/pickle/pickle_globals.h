#pragma once

#include "format/pickle/pickle_graph.h"

#include <optional>
#include <string_view>

// The set of names that a pickle may use, and the only place to widen it.

namespace checkpoint::format::pickle {

/// What `module.name` stands for; empty if this reader does not know it. TorchScript classes are
/// none of these: any name is one whose module is "__torch__" or lies in it.
std::optional<Cell> find_global(std::string_view module, std::string_view name);

/// Whether `module` is that of a TorchScript class.
bool is_script_module(std::string_view module);

/// Whether a file names this to do something in Python, and not to say what its data is.
bool acts(std::string_view module, std::string_view name);

/// How Python calls it, or the first of those that mean the same here.
Name name_of(Global global);

}  // namespace checkpoint::format::pickle
