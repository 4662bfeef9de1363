#pragma once

#include "store/directory/directory.h"

#include <string>
#include <vector>

namespace checkpoint::store {

/// A sign of a checkpoint that `Directory::scan` does not list.
struct Unseen {
  std::string name;  ///< What stands in the directory; "." for the directory itself.
  std::string why;   ///< What it is, why it is not listed, and what to do.
};

/// What speaks against a start from scratch in a directory in which nothing is listed, sorted by
/// name. The kinds stand at the top of unseen.cpp. Throws Error(io) where something cannot be
/// looked at.
std::vector<Unseen> find_unseen(const Directory& directory);

/// Files that may be checkpoints of another program, by their names ("model.pt"): never listed, and
/// no reason to refuse a start, which may well be from such a file. Throws Error(io).
std::vector<std::string> files_like_checkpoints(const Directory& directory);

}  // namespace checkpoint::store
