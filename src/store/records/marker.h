#pragma once

#include "store/io/file_system.h"

#include <cstdint>
#include <string>

namespace checkpoint::store {

/// The content of the marker file, which each directory of ours has. The marker is the first file
/// written and the last one removed, so that we never take another directory for ours. It also
/// keeps the sequence of a checkpoint whose manifest is damaged.
struct Marker {
  std::string library_version;
  std::string run_id;
  int64_t sequence = 0;
};

/// Creates the marker in `directory` and syncs it. Throws Error: no_space, io.
void write_marker(FileSystem& fs, const std::string& directory, const Marker& marker);
/// Returns whether `directory` has a marker. Throws Error(io) if that cannot be checked.
bool has_marker(FileSystem& fs, const std::string& directory);
/// Returns whether `directory` is probably a checkpoint, whole or damaged. It is if it has a
/// marker. A copy may have lost its hidden files; then it is one if it has our tensor table and
/// another of our files, or a manifest that names this format. Throws Error(io) if that cannot be
/// checked.
bool looks_like_checkpoint(FileSystem& fs, const std::string& directory);
/// Returns the sequence in the marker of `directory`. 0 if it is missing or invalid.
int64_t marked_sequence(FileSystem& fs, const std::string& directory);

}  // namespace checkpoint::store
