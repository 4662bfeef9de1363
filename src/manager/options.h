#pragma once

#include <checkpoint/manager_options.h>

namespace checkpoint::manager {

/// Returns the options unchanged. Throws Error: invalid_argument for options that can never work,
/// unsupported for a format that cannot hold a checkpoint.
CheckpointManagerOptions checked(CheckpointManagerOptions options);

}  // namespace checkpoint::manager
