#pragma once

#include "group/group.h"
#include "store/directory/directory.h"

#include <checkpoint/error.h>
#include <checkpoint/restore.h>
#include <checkpoint/state.h>

#include <string>

namespace checkpoint::manager {

/// The error of a restore that another rank's failure has ended.
class RankFailed : public Error {
 public:
  explicit RankFailed(const group::Failure& failure);
  bool concerns_one_checkpoint() const { return concerns_one_checkpoint_; }

 private:
  bool concerns_one_checkpoint_;
};

/// Restores one checkpoint by its name, together with the other ranks: if it cannot be restored on
/// one of them, nothing changes on any. Each rank verifies its share of the files. `attempt` counts
/// the calls in one meeting. `identity`, if not empty, is that of the checkpoint that rank 0 sees
/// under this name. Throws Error: not_found, corrupt, incompatible, io, device. Throws
/// RankFailed if it is another rank that failed. Throws state::HalfRestored if the live state must
/// not be used any more, on this rank or on another.
Restored restore_one(const store::Directory& directory, const std::string& name, State& state,
                     const RestoreOptions& options, group::Meeting& meeting, int attempt,
                     const std::string& identity = {});

/// Returns a text that tells a checkpoint from any other of the same name.
std::string identity_of(const Manifest& manifest);

}  // namespace checkpoint::manager
