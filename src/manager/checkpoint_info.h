#pragma once

#include "store/retention/retention.h"

#include <checkpoint/manager.h>

#include <vector>

namespace checkpoint::manager {

/// What `list` says of all checkpoints of a decision, in its order.
std::vector<CheckpointInfo> checkpoint_infos(store::Decision decision, const KeepRules& rules);

}  // namespace checkpoint::manager
