#include "manager/checkpoint_info.h"

#include "store/retention/ranking.h"

#include <utility>

namespace checkpoint::manager {

std::vector<CheckpointInfo> checkpoint_infos(store::Decision decision, const KeepRules& rules) {
  std::vector<CheckpointInfo> result;
  for (size_t i = 0; i < decision.found.size(); ++i) {
    store::FoundCheckpoint& found = decision.found[i];
    CheckpointInfo info;
    info.name = std::move(found.name);
    info.path = std::move(found.path);
    info.manifest = std::move(found.manifest);
    info.pinned = decision.pins.count(info.name) != 0;
    info.reasons = std::move(decision.reasons[i]);
    if (found.problem) {
      info.damage = found.problem->what();
    } else {
      info.missing_metrics = store::missing_metrics(info.manifest.progress, rules);
    }
    result.push_back(std::move(info));
  }
  return result;
}

}  // namespace checkpoint::manager
