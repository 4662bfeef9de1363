#pragma once

#include "store/directory/directory.h"

#include <cstdint>
#include <string>

namespace checkpoint::store {

/// Removes one checkpoint on request, whatever the rules say. It may be damaged or set aside. The
/// link "latest" then points to the newest one left. The link "best" is removed if it pointed to
/// this one. The history notes the removal. Returns the sequence, 0 if unknown. The caller must
/// hold the writer lock. Throws Error: not_found; invalid_argument if the checkpoint is pinned or
/// has files that are not ours; locked; io.
int64_t remove_checkpoint(const Directory& directory, const std::string& name);

}  // namespace checkpoint::store
