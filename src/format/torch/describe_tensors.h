#pragma once

#include "store/records/tensor_table.h"

#include <checkpoint/value.h>

#include <vector>

namespace checkpoint::format {

/// Returns what is known of a tree's tensors before they are written: an entry for each place of a
/// tensor, in the tree's order, with its key, dtype and shape.
std::vector<store::TensorEntry> describe_tensors(const Value& tree);
std::vector<store::TensorEntry> describe_tensors(const Dict& tree);

}  // namespace checkpoint::format
