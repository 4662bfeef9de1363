#pragma once

#include "store/io/file_system.h"

#include <string>

namespace checkpoint::cli {

/// Whether a directory is a checkpoint, whole or damaged, and not a directory of them.
bool is_checkpoint(store::FileSystem& fs, const std::string& path);

/// Throws Error(not_found) if nothing is at `path`, and Error(invalid_argument) if it is a file or
/// a checkpoint: the command takes a directory of them.
void need_directory_of_checkpoints(store::FileSystem& fs, const std::string& path);

/// Throws Error(invalid_argument), with what to name instead, if `path` is a file.
void refuse_if_file(store::FileSystem& fs, const std::string& path);

/// Throws Error if `path` is not a checkpoint: invalid_argument, with what to name instead, for one
/// of its files or a directory of checkpoints; not_found where nothing is.
void need_checkpoint(store::FileSystem& fs, const std::string& path);

}  // namespace checkpoint::cli
