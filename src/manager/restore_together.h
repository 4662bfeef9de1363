#pragma once

#include "group/group.h"
#include "manager/resume.h"
#include "store/directory/directory.h"

#include <checkpoint/restore.h>
#include <checkpoint/state.h>

#include <functional>
#include <optional>

namespace checkpoint::manager {

/// Restores on all ranks the checkpoint that rank 0 chooses. Rank 0 runs `choose`, whose attempts
/// all ranks make together; the other ranks only follow. Returns what `choose` returns, on all
/// ranks. Throws what it throws, and on another rank the error of rank 0; Error(unsupported) if the
/// ranks do not see the same directory.
std::optional<Restored> restore_together(
    const store::Directory& directory, State& state, const RestoreOptions& options,
    group::Meeting& meeting,
    const std::function<std::optional<Restored>(const RestoreOne&)>& choose);

}  // namespace checkpoint::manager
