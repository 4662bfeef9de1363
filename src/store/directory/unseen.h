#pragma once

#include "store/directory/directory.h"

#include <string>
#include <vector>

namespace checkpoint::store {

/// A sign of a checkpoint that `Directory::scan` does not list.
struct Unseen {
  std::string name;  ///< Its name in the directory; "." for the directory itself.
  std::string why;   ///< What it is, why it is not listed, and what the user can do.
};

/// Returns the reasons not to start from scratch in a directory without listed checkpoints, sorted
/// by name. The comment at the top of unseen.cpp lists the kinds. Throws Error(io) if something
/// cannot be checked.
std::vector<Unseen> find_unseen(const Directory& directory);

/// Returns files whose names look like checkpoints of another program ("model.pt"). They are never
/// listed and do not prevent a start, because a training may start from such a file. Throws
/// Error(io).
std::vector<std::string> files_like_checkpoints(const Directory& directory);

}  // namespace checkpoint::store
