#pragma once

#include "store/records/tensor_table.h"

#include <checkpoint/value.h>

#include <cstddef>
#include <vector>

namespace checkpoint::format {

/// Returns the number of places of tensors in a tree.
size_t count_tensors(const Dict& tree);

/// Adds what is known of a tree's tensors before they are written: an entry for each place of a
/// tensor, in the tree's order, with its key, dtype and shape.
void describe_tensors(const Value& tree, std::vector<store::TensorEntry>& entries);
void describe_tensors(const Dict& tree, std::vector<store::TensorEntry>& entries);

}  // namespace checkpoint::format
