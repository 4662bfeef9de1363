#pragma once

#include "store/io/file_system.h"

#include <cstdint>
#include <string>

namespace checkpoint::store {

/// What the marker file in each of our directories says. It is the first file in and the last one
/// out, so that no other directory is ever taken for ours; and it keeps the sequence of a
/// checkpoint whose manifest is damaged.
struct Marker {
  std::string library_version;
  std::string run_id;
  int64_t sequence = 0;
};

/// Creates the marker in `directory` and syncs it. Throws Error: no_space, io.
void write_marker(FileSystem& fs, const std::string& directory, const Marker& marker);
/// Whether `directory` holds a marker. Throws Error(io) where looking fails, which says nothing.
bool has_marker(FileSystem& fs, const std::string& directory);
/// Whether `directory` holds what only a checkpoint holds: a marker, or, in a copy that has lost
/// its hidden files, our table beside another of our files, or a manifest that names this format,
/// whole or not. Throws Error(io) where looking fails, which says nothing.
bool looks_like_checkpoint(FileSystem& fs, const std::string& directory);
/// The sequence that the marker in `directory` says; 0 if it says none or is not there.
int64_t marked_sequence(FileSystem& fs, const std::string& directory);

}  // namespace checkpoint::store
