#pragma once

#include <checkpoint/value.h>

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace checkpoint::format {

/// Returns a tree as JSON (docs/file-formats.md describes it), with its tensors as dotted names.
/// Throws Error(unsupported) for nesting deeper than 100, and Error(invalid_argument) for a text
/// that is not UTF-8.
std::string tree_to_json(const Value& tree);

/// Reads a tree from JSON; `find` returns the tensor of a name. Throws Error(corrupt), and what
/// `find` throws.
Value tree_from_json(const std::string& text, const std::string& file,
                     const std::function<at::Tensor(const std::string& name)>& find);

/// Returns the tensors of a tree by dotted names, in order. List indices and integer keys become
/// numbers in the names. Throws Error(unsupported) if two tensors have the same name.
std::vector<std::pair<std::string, at::Tensor>> named_tensors(const Value& tree);

}  // namespace checkpoint::format
