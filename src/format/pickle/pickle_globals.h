#pragma once

#include "format/pickle/pickle_graph.h"

#include <optional>
#include <string_view>

// The set of names that a pickle may use, and the only place to widen it.

namespace checkpoint::format::pickle {

/// What `module.name` stands for; empty if this reader does not know it. TorchScript classes are
/// none of these: any name is one whose module is "__torch__" or lies in it.
std::optional<Item> find_global(std::string_view module, std::string_view name);

/// Whether `module` is that of a TorchScript class.
bool is_script_module(std::string_view module);

/// Why a name is not known, where there is more to say than that; else empty.
std::string_view why_unknown(std::string_view module, std::string_view name);
/// What to do in Python about a name of this module that is not known.
std::string_view what_to_do(std::string_view module);

}  // namespace checkpoint::format::pickle
