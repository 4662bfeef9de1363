#pragma once

#include "store/directory/directory.h"

#include <checkpoint/keep.h>
#include <checkpoint/restore.h>

#include <exception>
#include <functional>
#include <optional>
#include <string>

namespace checkpoint::manager {

/// Restores one checkpoint by its name. Throws Error: not_found, corrupt, incompatible, io. Throws
/// state::HalfRestored if the live state must not be used any more.
using RestoreOne = std::function<Restored(const std::string& name)>;

/// Returns whether another checkpoint may be restored after this error of a RestoreOne.
bool concerns_one_checkpoint(const std::exception& error);

/// What happens to a damaged checkpoint, besides being skipped.
enum class Damaged {
  kSetAside,  ///< It is renamed once the disk confirms the damage. The caller holds the writer
              ///< lock.
  kLeave,     ///< Nothing: another process may write here.
};

/// Restores the newest checkpoint that is intact. Empty if the directory has no checkpoints. The
/// first lines of resume.cpp say which failures are skipped and which are thrown.
std::optional<Restored> restore_newest(const store::Directory& directory,
                                       const RestoreOne& restore_one, Damaged damaged);

/// Restores the best intact checkpoint that has the rule's metric. Leaves damaged ones as they are.
/// Empty if no checkpoint has the metric.
std::optional<Restored> restore_best(const store::Directory& directory,
                                     const RestoreOne& restore_one, const BestRule& rule);

}  // namespace checkpoint::manager
