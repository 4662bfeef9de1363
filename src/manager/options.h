#pragma once

#include <checkpoint/manager_options.h>

namespace checkpoint::manager {

/// The options, as they are. Throws Error(invalid_argument) for ones that can never work.
CheckpointManagerOptions checked(CheckpointManagerOptions options);

}  // namespace checkpoint::manager
