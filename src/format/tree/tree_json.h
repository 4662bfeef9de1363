#pragma once

#include <checkpoint/value.h>

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace checkpoint::format {

/// A tree as JSON (docs/file-formats.md says how), its tensors by their dotted names. Throws
/// Error(unsupported) for nesting deeper than 100, Error(invalid_argument) for a text that is not
/// UTF-8.
std::string tree_to_json(const Value& tree);

/// The way back; `find` gives the tensor of a name. Throws Error(corrupt), and what `find` throws.
Value tree_from_json(const std::string& text, const std::string& file,
                     const std::function<at::Tensor(const std::string& name)>& find);

/// The tensors of a tree by dotted names, in order; list indices and integer keys are numbers.
/// Throws Error(unsupported) if two have the same name.
std::vector<std::pair<std::string, at::Tensor>> named_tensors(const Value& tree);

}  // namespace checkpoint::format
