#pragma once

#include "store/directory.h"
#include "store/verify.h"

#include <checkpoint/restore.h>
#include <checkpoint/state.h>

#include <optional>

namespace checkpoint::manager {

/// Restores one checkpoint that was found whole.
Restored restore_verified(const store::VerifiedCheckpoint& checkpoint, State& state,
                          const RestoreOptions& options);

/// Restores the newest checkpoint that is whole, and sets damaged ones aside; the caller holds the
/// writer lock. What is tried, and what becomes of it, stands atop resume.cpp.
std::optional<Restored> restore_newest(const store::Directory& directory, State& state,
                                       const RestoreOptions& options);

}  // namespace checkpoint::manager
