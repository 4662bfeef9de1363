#pragma once

#include "store/directory/directory.h"

#include <checkpoint/keep.h>

#include <set>
#include <string>
#include <vector>

namespace checkpoint::store {

/// The value of a metric: "loss" is Progress::loss. NaN if it has none.
double metric_value(const Progress& progress, const std::string& metric);

/// The metrics that the rules' keep_best asks for and that are missing or NaN here.
std::vector<std::string> missing_metrics(const Progress& progress, const KeepRules& rules);

/// What "the best" means without a given metric: the first keep_best; without one, the lowest
/// loss.
BestRule default_best_rule(const KeepRules& rules);
/// What it means for this metric. Throws Error(invalid_argument) if no keep_best names it, except
/// for "loss".
BestRule best_rule_for(const std::string& metric, const KeepRules& rules);

/// The places in `found`, which is in order of saving, of all that are not damaged, best first.
/// Equal values: the older first. Those without a value come last, the newer first.
std::vector<size_t> ranked(const std::vector<FoundCheckpoint>& found, const BestRule& rule);

/// The place of the best one that has a value; `found.size()` if none has.
size_t best_of(const std::vector<FoundCheckpoint>& found, const BestRule& rule);

/// Whether the rule should keep some and cannot decide which: its metric is missing or NaN in all
/// that are not damaged. False if there are none of these.
bool ranks_nothing(const std::vector<FoundCheckpoint>& found, const BestRule& rule);
/// The metrics of the keep_best that rank nothing.
std::vector<std::string> unranked_metrics(const std::vector<FoundCheckpoint>& found,
                                          const KeepRules& rules);

/// The metrics by which a keep_best can rank: some checkpoint that is not damaged has a value.
std::set<std::string> metrics_with_values(const std::vector<FoundCheckpoint>& found);

}  // namespace checkpoint::store
