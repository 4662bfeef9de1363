#pragma once

#include <checkpoint/value.h>

#include <functional>
#include <string>

namespace checkpoint::cli {

/// Returns the name in the output for a name in the input.
using Renaming = std::function<std::string(const std::string&)>;

/// What to do with submodules without tensors (a dropout). LibTorch's own load needs them; the
/// state_dicts of other programs do not have them.
enum class EmptyModules { kLeftOut, kKept };

/// Returns the tree with the tensors of each module in one dict, by dotted names, like Python's
/// state_dicts. A module is what `is_module` (flat.h) accepts. Optimizers stay as they are.
/// `rename` gets the names inside the module. `file` is the path that the tree came from, for the
/// error text. Throws Error(invalid_argument), with the name, if two tensors have the same dotted
/// name.
Value with_flat_modules(const Value& tree, const Renaming& rename, const std::string& file,
                        EmptyModules empty_modules);

/// Does the opposite: makes nested dicts of modules with dotted names, as in LibTorch's archives. A
/// module stays flat if one name in it belongs both to a tensor and to a submodule.
Value with_nested_modules(const Value& tree);

}  // namespace checkpoint::cli
