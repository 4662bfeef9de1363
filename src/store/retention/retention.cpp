#include "store/retention/retention.h"

#include "base/log.h"
#include "store/directory/pins.h"
#include "store/directory/retire.h"
#include "store/directory/verify.h"
#include "store/records/names.h"
#include "store/retention/ranking.h"

#include <algorithm>
#include <utility>

namespace checkpoint::store {
namespace {

bool anything_goes(const Plan& plan) {
  return std::any_of(plan.reasons.begin(), plan.reasons.end(),
                     [](const Reasons& reasons) { return reasons.empty(); });
}

void keep_what_would_go(Plan& plan, const std::string& reason) {
  for (Reasons& reasons : plan.reasons) {
    if (reasons.empty()) reasons.push_back(reason);
  }
}

// What cannot be looked into is not removed; and a list must not fail for it.
std::string why_it_cannot_go(const Directory& directory, const std::string& name) {
  try {
    return obstacle_to_retiring(directory, name);
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace

Plan Retention::plan(const Directory& directory, std::vector<FoundCheckpoint> found,
                     const std::string& resumed_from) const {
  Plan plan;
  plan.found = std::move(found);
  plan.pins = read_pins(directory);
  plan.reasons = reasons_to_stay(plan.found, plan.pins, resumed_from, rules_);
  plan.unranked_metrics = unranked_metrics(plan.found, rules_);
  for (size_t i = 0; i < plan.found.size(); ++i) {
    if (!plan.reasons[i].empty()) continue;
    const std::string obstacle = why_it_cannot_go(directory, plan.found[i].name);
    if (!obstacle.empty()) plan.reasons[i].push_back(obstacle);
  }
  return plan;
}

Plan Retention::apply(const Directory& directory, const std::string& resumed_from) {
  Plan plan = this->plan(directory, resumed_from);
  warn_once_of_unranked(directory, plan);
  if (!anything_goes(plan)) return plan;
  plan.is_safe = stays_safe(directory, plan);
  if (!plan.is_safe) {
    keep_what_would_go(plan, "none of those that stay has been read back from the disk");
    return plan;
  }
  for (size_t i = 0; i < plan.found.size(); ++i) {
    if (!plan.reasons[i].empty()) continue;
    const FoundCheckpoint& found = plan.found[i];
    if (retire(directory, found.name)) {
      base::log_info("removed checkpoint '" + found.path + "': no rule keeps it");
      read_back_.erase(found.name);
    } else {
      plan.reasons[i].push_back("pinned at the last moment");
    }
  }
  directory.remove_dangling_link(kBestLink);
  return plan;
}

void Retention::warn_once_of_unranked(const Directory& directory, const Plan& plan) {
  for (const std::string& metric : plan.unranked_metrics) {
    if (!warned_of_.insert(metric).second) continue;
    base::log_warning(
        "no checkpoint in '" + directory.path() + "' has the metric '" + metric +
        "' that keep_best asks for (missing or NaN): all stay until one has it. Name it as "
        "the saves' Progress does.");
  }
}

bool Retention::stays_safe(const Directory& directory, const Plan& plan) {
  if (!verify_before_retire_) return true;
  const FoundCheckpoint* newest = nullptr;
  for (size_t i = 0; i < plan.found.size(); ++i) {
    if (plan.reasons[i].empty() || plan.found[i].problem) continue;
    if (read_back_.count(plan.found[i].name) != 0) return true;
    newest = &plan.found[i];
  }
  return newest != nullptr && reads_back(directory, newest->name);
}

bool Retention::reads_back(const Directory& directory, const std::string& name) {
  try {
    verify_checkpoint(directory.fs(), directory.path_of(name), ReadFrom::kDisk);
  } catch (const Error& error) {
    base::log_error("checkpoint '" + directory.path_of(name) +
                    "' cannot be read back, so the older ones are kept: " + error.what());
    return false;
  }
  read_back_.insert(name);
  return true;
}

PruneReport Plan::report() const {
  PruneReport report;
  for (size_t i = 0; i < found.size(); ++i) {
    if (!reasons[i].empty()) {
      report.kept.push_back({found[i].name, reasons[i]});
    } else {
      report.removed.push_back(found[i].name);
      report.removed_bytes += found[i].manifest.total_bytes();
    }
  }
  return report;
}

}  // namespace checkpoint::store

namespace checkpoint {

std::string PruneReport::to_string() const {
  std::string text;
  for (const std::string& name : removed) text += "goes   " + name + '\n';
  for (const Kept& checkpoint : kept) {
    text += "stays  " + checkpoint.name + ": ";
    for (size_t i = 0; i < checkpoint.reasons.size(); ++i) {
      text += (i > 0 ? ", " : "") + checkpoint.reasons[i];
    }
    text += '\n';
  }
  return text;
}

}  // namespace checkpoint
