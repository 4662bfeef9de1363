#pragma once

#include "store/retention/retention.h"

#include <checkpoint/manager.h>

#include <vector>

namespace checkpoint::manager {

/// What `list` says of all checkpoints of a plan, in its order.
std::vector<CheckpointInfo> describe(store::Plan plan, const KeepRules& rules);

}  // namespace checkpoint::manager
