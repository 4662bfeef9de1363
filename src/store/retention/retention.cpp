// Applies the retention rules to a directory:
//
//   1. Decide (keep_rules.cpp): each checkpoint gets the reasons why it stays. A checkpoint that
//      cannot be removed, because it may not be all ours, gets that as its reason.
//   2. If something will be removed, check that a checkpoint that stays can be read back from the
//      disk. If not, remove nothing: an older checkpoint may be the only good one.
//   3. Retire the checkpoints without a reason (retire.cpp). A pin may still prevent that.

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

bool anything_goes(const Decision& decision) {
  return std::any_of(decision.reasons.begin(), decision.reasons.end(),
                     [](const Reasons& reasons) { return reasons.empty(); });
}

void keep_what_would_go(Decision& decision, const std::string& reason) {
  for (Reasons& reasons : decision.reasons) {
    if (reasons.empty()) reasons.push_back(reason);
  }
}

// If a checkpoint cannot be checked, that error is the reason to keep it: a list must not fail.
std::string why_it_cannot_go(const Directory& directory, const std::string& name) {
  try {
    return obstacle_to_retiring(directory, name);
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace

Decision Retention::decide(const Directory& directory, std::vector<FoundCheckpoint> found,
                           const std::string& resumed_from) const {
  Decision decision;
  decision.found = std::move(found);
  decision.pins = read_pins(directory);
  decision.reasons = reasons_to_stay(decision.found, decision.pins, resumed_from, rules_);
  decision.unranked_metrics = unranked_metrics(decision.found, rules_);
  for (size_t i = 0; i < decision.found.size(); ++i) {
    if (!decision.reasons[i].empty()) continue;
    const std::string obstacle = why_it_cannot_go(directory, decision.found[i].name);
    if (!obstacle.empty()) decision.reasons[i].push_back(obstacle);
  }
  return decision;
}

Decision Retention::apply(const Directory& directory, std::vector<FoundCheckpoint> found,
                          const std::string& resumed_from) {
  Decision decision = decide(directory, std::move(found), resumed_from);
  warn_once_of_unranked(directory, decision);
  if (!anything_goes(decision)) return decision;
  decision.is_safe = stays_safe(directory, decision);
  if (!decision.is_safe) {
    keep_what_would_go(decision,
                       "none of the checkpoints to keep could be read back from the disk");
    return decision;
  }
  for (size_t i = 0; i < decision.found.size(); ++i) {
    if (!decision.reasons[i].empty()) continue;
    const FoundCheckpoint& found = decision.found[i];
    if (retire(directory, found.name)) {
      base::log_info("removed checkpoint '" + found.path + "': no rule keeps it");
      read_back_.erase(found.name);
    } else {
      decision.reasons[i].push_back("pinned at the last moment");
    }
  }
  directory.remove_dangling_link(kBestLink);
  return decision;
}

void Retention::warn_once_of_unranked(const Directory& directory, const Decision& decision) {
  for (const std::string& metric : decision.unranked_metrics) {
    if (!warned_of_.insert(metric).second) continue;
    base::log_warning("no checkpoint in '" + directory.path() + "' has the metric '" + metric +
                      "' of keep_best (missing or NaN): all are kept until one has it. Name it as "
                      "the saves' Progress does.");
  }
}

bool Retention::stays_safe(const Directory& directory, const Decision& decision) {
  if (!verify_before_retire_) return true;
  const FoundCheckpoint* newest = nullptr;
  for (size_t i = 0; i < decision.found.size(); ++i) {
    if (decision.reasons[i].empty() || decision.found[i].problem) continue;
    if (read_back_.count(decision.found[i].name) != 0) return true;
    newest = &decision.found[i];
  }
  return newest != nullptr && reads_back(directory, newest->name);
}

bool Retention::reads_back(const Directory& directory, const std::string& name) {
  try {
    verify_checkpoint(directory, name, ReadFrom::kDisk);
  } catch (const Error& error) {
    base::log_error(
        "checkpoint '" + directory.path_of(name) +
        "' cannot be read back from the disk, so older checkpoints are kept: " + error.what());
    return false;
  }
  read_back_.insert(name);
  return true;
}

PruneReport Decision::report() const {
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
