#pragma once

#include "store/directory/directory.h"

#include <checkpoint/keep.h>

#include <set>
#include <string>
#include <vector>

namespace checkpoint::store {

/// Why one checkpoint stays; none: it goes.
using Reasons = std::vector<std::string>;

/// Decides what stays: a pure function of what was found (in order of saving), the pins, the name
/// of the checkpoint that the caller's run was resumed from (or empty), and the rules. Returns the
/// reasons for each, in the order of `found`. A rule that asks for what no checkpoint tells (a
/// metric, the step) decides nothing, and keeps all. Throws what a predicate of the rules throws.
std::vector<Reasons> reasons_to_stay(const std::vector<FoundCheckpoint>& found,
                                     const std::set<std::string>& pins,
                                     const std::string& resumed_from, const KeepRules& rules);

}  // namespace checkpoint::store
