#pragma once

#include "manager/triggers.h"
#include "store/io/file_system.h"

#include <checkpoint/manager.h>

#include <string>

namespace checkpoint::internal {

/// Opens a manager on a file system of the caller's choice. Tests use this to make each file system
/// call fail. The file system must outlive the manager. `every` uses `clock`.
struct ManagerAccess {
  static CheckpointManager open(store::FileSystem& fs, std::string directory,
                                const CheckpointManagerOptions& options = {},
                                const manager::Triggers::Clock& clock = base::monotonic_now);
};

}  // namespace checkpoint::internal
