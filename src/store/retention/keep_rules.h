#pragma once

#include "store/directory/directory.h"

#include <checkpoint/keep.h>

#include <set>
#include <string>
#include <vector>

namespace checkpoint::store {

/// Why one checkpoint stays. Empty if it will be removed.
using Reasons = std::vector<std::string>;

/// Decides which checkpoints stay. Returns the reasons for each, in the order of `found`, which
/// must be the order of saving. `resumed_from` is the name of the checkpoint that the caller's run
/// was resumed from, or empty. A rule keeps all checkpoints if none of them has its metric or step.
/// A pure function: reads nothing from the disk. Throws what a predicate of the rules throws.
std::vector<Reasons> reasons_to_stay(const std::vector<FoundCheckpoint>& found,
                                     const std::set<std::string>& pins,
                                     const std::string& resumed_from, const KeepRules& rules);

}  // namespace checkpoint::store
