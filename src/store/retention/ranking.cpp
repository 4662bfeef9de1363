#include "store/retention/ranking.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace checkpoint::store {

double metric_value(const Progress& progress, const std::string& metric) {
  if (metric == "loss") return progress.loss;
  const auto found = progress.metrics.find(metric);
  return found != progress.metrics.end() ? found->second : std::numeric_limits<double>::quiet_NaN();
}

std::vector<std::string> missing_metrics(const Progress& progress, const KeepRules& rules) {
  std::vector<std::string> missing;
  for (const BestRule& rule : rules.best) {
    if (std::isnan(metric_value(progress, rule.metric))) missing.push_back(rule.metric);
  }
  return missing;
}

BestRule default_best_rule(const KeepRules& rules) {
  return rules.best.empty() ? BestRule() : rules.best.front();
}

BestRule best_rule_for(const std::string& metric, const KeepRules& rules) {
  for (const BestRule& rule : rules.best) {
    if (rule.metric == metric) return rule;
  }
  if (metric == BestRule().metric) return BestRule();
  throw Error(ErrorCode::kInvalidArgument,
              "cannot decide whether a low or a high '" + metric + "' is better", "", 0,
              "Add a keep_best for this metric, or call best(metric, mode).");
}

std::vector<size_t> ranked(const std::vector<FoundCheckpoint>& found, const BestRule& rule) {
  const auto value_at = [&](size_t i) {
    return metric_value(found[i].manifest.progress, rule.metric);
  };
  std::vector<size_t> with, without;
  for (size_t i = 0; i < found.size(); ++i) {
    if (!found[i].problem) (std::isnan(value_at(i)) ? without : with).push_back(i);
  }
  std::stable_sort(with.begin(), with.end(), [&](size_t left, size_t right) {
    return rule.mode == Mode::kMin ? value_at(left) < value_at(right)
                                   : value_at(left) > value_at(right);
  });
  with.insert(with.end(), without.rbegin(), without.rend());
  return with;
}

size_t best_of(const std::vector<FoundCheckpoint>& found, const BestRule& rule) {
  const std::vector<size_t> order = ranked(found, rule);
  const bool has_value =
      !order.empty() && !std::isnan(metric_value(found[order[0]].manifest.progress, rule.metric));
  return has_value ? order[0] : found.size();
}

bool ranks_nothing(const std::vector<FoundCheckpoint>& found, const BestRule& rule) {
  const bool any_whole = std::any_of(found.begin(), found.end(),
                                     [](const FoundCheckpoint& one) { return !one.problem; });
  return any_whole && rule.count > 0 && best_of(found, rule) == found.size();
}

std::vector<std::string> unranked_metrics(const std::vector<FoundCheckpoint>& found,
                                          const KeepRules& rules) {
  std::vector<std::string> metrics;
  for (const BestRule& rule : rules.best) {
    if (ranks_nothing(found, rule)) metrics.push_back(rule.metric);
  }
  return metrics;
}

std::set<std::string> metrics_with_values(const std::vector<FoundCheckpoint>& found) {
  std::set<std::string> names;
  for (const FoundCheckpoint& checkpoint : found) {
    if (checkpoint.problem) continue;
    const Progress& progress = checkpoint.manifest.progress;
    if (!std::isnan(progress.loss)) names.insert("loss");
    for (const auto& [name, value] : progress.metrics) {
      if (!std::isnan(metric_value(progress, name))) names.insert(name);
    }
  }
  return names;
}

}  // namespace checkpoint::store
