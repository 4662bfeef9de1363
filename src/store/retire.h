#pragma once

#include "store/directory.h"

#include <string>

namespace checkpoint::store {

/// Removes a checkpoint: renames it out of sight, syncs, then removes its files, the marker last.
/// One without our marker, or one that holds somebody's files beside ours, is left alone; returns
/// whether it was removed. The caller holds the writer lock. Throws Error(io).
bool retire(const Directory& directory, const std::string& name);

/// Removes what dead writers left: hidden staging and retired directories with our marker. The
/// caller holds the writer lock, so that there is no living one. Throws Error(io).
void sweep(const Directory& directory);

/// Removes the files of a checkpoint from a directory, the marker last, and the directory, which
/// must hold nothing else. Throws Error(io).
void remove_checkpoint_files(FileSystem& fs, const std::string& path);

}  // namespace checkpoint::store
