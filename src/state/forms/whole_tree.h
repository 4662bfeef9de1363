#pragma once

#include "state/forms/optimizer_tree.h"

#include <checkpoint/manifest.h>
#include <checkpoint/value.h>

#include <map>
#include <string>
#include <vector>

// The optimizers and schedulers of a whole checkpoint or file, from one form to another.

namespace checkpoint::state {

/// The names of an optimizer's parameters, group by group.
using GroupNames = std::vector<std::vector<std::string>>;

/// What is known about a tree besides the tree itself. Everything may be empty.
struct TreeFacts {
  std::vector<ItemEntry> items;                  ///< The items of a checkpoint.
  std::map<std::string, GroupNames> parameters;  ///< By the optimizer's name.
};

/// Returns the tree with its optimizers and schedulers in Python's form. In a checkpoint, only
/// items of these kinds are changed; without known items, whatever has their form. What has
/// Python's form already is written again if `form` has names, or if Python would write it
/// otherwise. Optimizers of classes that LibTorch does not have stay as they are. Parameters of one
/// module are named as in that module; of several, with the items' names. Throws what
/// to_python_form throws, with the place.
Value with_python_forms(Value tree, const TreeFacts& facts, OptimizerForm form, StepCounts counts);
/// Does the opposite: LibTorch's form. Throws what to_libtorch_form throws, with the place.
Value with_libtorch_forms(Value tree, const TreeFacts& facts);

}  // namespace checkpoint::state
