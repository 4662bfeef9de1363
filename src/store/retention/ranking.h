#pragma once

#include "store/directory/directory.h"

#include <checkpoint/keep.h>

#include <set>
#include <string>
#include <vector>

namespace checkpoint::store {

/// Returns the value of a metric: "loss" is Progress::loss. NaN if `progress` does not have it.
double metric_value(const Progress& progress, const std::string& metric);

/// Returns the metrics of the keep_best rules that are missing or NaN here.
std::vector<std::string> missing_metrics(const Progress& progress, const KeepRules& rules);

/// Returns what "the best" means without a given metric: the first keep_best rule, or the lowest
/// loss without such a rule.
BestRule default_best_rule(const KeepRules& rules);
/// Returns what "the best" means for this metric. Throws Error(invalid_argument) if no keep_best
/// rule names it, except for "loss".
BestRule best_rule_for(const std::string& metric, const KeepRules& rules);

/// Returns the positions in `found` of all checkpoints that are not damaged, best first. `found`
/// must be in the order of saving. Of equal values, the older checkpoint comes first. Checkpoints
/// without a value come last, the newer first.
std::vector<size_t> ranked(const std::vector<FoundCheckpoint>& found, const BestRule& rule);

/// Returns the position of the best checkpoint. `found.size()` if no checkpoint has a value.
size_t best_of(const std::vector<FoundCheckpoint>& found, const BestRule& rule);

/// Returns whether the rule should keep some checkpoints but cannot decide which: its metric is
/// missing or NaN in all that are not damaged. False if all are damaged, or `found` is empty.
bool ranks_nothing(const std::vector<FoundCheckpoint>& found, const BestRule& rule);
/// Returns the metrics of the keep_best rules that rank nothing.
std::vector<std::string> unranked_metrics(const std::vector<FoundCheckpoint>& found,
                                          const KeepRules& rules);

/// Returns the metrics by which a keep_best can rank: those that some undamaged checkpoint has a
/// value for.
std::set<std::string> metrics_with_values(const std::vector<FoundCheckpoint>& found);

}  // namespace checkpoint::store
