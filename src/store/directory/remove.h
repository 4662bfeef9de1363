#pragma once

#include "store/directory/directory.h"

#include <cstdint>
#include <string>

namespace checkpoint::store {

/// Removes one checkpoint on request, whatever the rules say; a damaged one too, and
/// one that was set aside. The link "latest" then points to the newest that is left, "best" goes if
/// it pointed to this one, and the history notes it. Returns its sequence, 0 if that is unknown.
/// The caller holds the writer lock. Throws Error: not_found; invalid_argument if it is pinned, or
/// is not all ours; locked; io.
int64_t remove_checkpoint(const Directory& directory, const std::string& name);

}  // namespace checkpoint::store
