#pragma once

#include <checkpoint/value.h>

#include <functional>
#include <string>

namespace checkpoint::cli {

/// From a name of the input to that of the output.
using Renaming = std::function<std::string(const std::string&)>;

/// What becomes of the submodules without tensors (a dropout): LibTorch's own load asks for them,
/// others' state_dicts do not know them.
enum class EmptyModules { kLeftOut, kKept };

/// The tree with every module's tensors in one dict by dotted names, as Python's state_dicts are. A
/// dict counts as a module's if there is nothing in it but tensors and dicts of such, under string
/// keys. `rename` is given the names inside it. Throws Error(invalid_argument), which tells the
/// name, if two tensors have one dotted name or get one.
/// `file` is where the tree came from, for the error.
Value with_flat_modules(const Value& tree, const Renaming& rename, const std::string& file,
                        EmptyModules empty_modules);

/// The other way: dicts inside dicts, as LibTorch's archives have them, where a dotted name stands
/// in a dict of nothing but tensors. A dict in which one name is both a tensor's and a module's
/// stays as it is.
Value with_nested_modules(const Value& tree);

}  // namespace checkpoint::cli
