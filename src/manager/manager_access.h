#pragma once

#include "store/file_system.h"

#include <checkpoint/manager.h>

#include <string>

namespace checkpoint::internal {

/// Opens a manager on a file system of the caller's choice, which must outlive it: how tests fail
/// each of its calls.
struct ManagerAccess {
  static CheckpointManager open(store::FileSystem& fs, std::string directory,
                                const CheckpointManagerOptions& options = {});
};

}  // namespace checkpoint::internal
