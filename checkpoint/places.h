#pragma once

#include "store/io/file_system.h"

#include <string>

namespace checkpoint::cli {

/// Returns whether a directory is a checkpoint, whole or damaged. Throws Error(io).
bool is_checkpoint(store::FileSystem& fs, const std::string& path);

/// Returns whether a directory is a distributed checkpoint of PyTorch's. Throws Error(io).
bool is_distributed(store::FileSystem& fs, const std::string& path);

/// Returns whether a path is a model in several files, or its directory: an index of Hugging
/// Face's, or files that it may name. A directory that has checkpoints is none. Throws Error(io).
bool is_sharded(store::FileSystem& fs, const std::string& path);

/// Throws Error unless `path` is a directory of checkpoints: not_found if it does not exist,
/// invalid_argument if it is a file or a checkpoint itself.
void need_directory_of_checkpoints(store::FileSystem& fs, const std::string& path);

/// Throws Error(invalid_argument) if `path` is a file. The hint says what to name instead.
void refuse_if_file(store::FileSystem& fs, const std::string& path);

/// Throws Error unless `path` is a checkpoint: invalid_argument, with a hint what to name instead,
/// for one of its files or a directory of checkpoints; not_found if it does not exist.
void need_checkpoint(store::FileSystem& fs, const std::string& path);

}  // namespace checkpoint::cli
