#pragma once

#include "store/retention/retention.h"

#include <checkpoint/manager.h>

#include <vector>

namespace checkpoint::manager {

/// Returns what `list` returns: one CheckpointInfo for each checkpoint of the decision, in its
/// order.
std::vector<CheckpointInfo> checkpoint_infos(store::Decision decision, const KeepRules& rules);

}  // namespace checkpoint::manager
