#include "manager/checkpoint_info.h"

#include "store/directory/verify.h"
#include "store/io/file_system.h"
#include "store/records/manifest.h"
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

namespace checkpoint {

Manifest read_manifest(const std::string& path) {
  Manifest manifest = store::read_manifest(store::posix_file_system(), path);
  manifest.name = store::name_at(path);
  return manifest;
}

void verify(const std::string& path, const OnTransfer& on_transfer) {
  store::verify_checkpoint(store::posix_file_system(), path, store::ReadFrom::kCache, on_transfer);
}

}  // namespace checkpoint
