#pragma once

#include "store/io/file_system.h"

#include <checkpoint/manifest.h>

#include <string>

namespace checkpoint::store {

/// The newest format version that this library reads. It writes version 1. Only checkpoints of
/// several ranks have version 2, and only those with files of unchanged tensors have version 3.
inline constexpr int64_t kFormatVersion = 3;
inline constexpr int64_t kFormatVersionOfRanks = 2;
inline constexpr int64_t kFormatVersionOfUnchanged = 3;

/// The highest sequence that a manifest or marker may have, so that there is always a next one.
inline constexpr int64_t kMaxSequence = int64_t{1} << 62;

/// Returns the text of manifest.json. Its last field is the XXH3-128 of all bytes before that
/// field. Throws Error(invalid_argument) if a name in it is not UTF-8.
std::string encode_manifest(const Manifest& manifest);

/// Reads the text back. `path` is for error texts. Throws Error: corrupt if the text was changed or
/// truncated, or is not a manifest of this library; incompatible if a newer library wrote it.
Manifest decode_manifest(const std::string& text, const std::string& path);

/// Reads the manifest of the checkpoint at `checkpoint_path`. Throws Error: not_found, corrupt,
/// incompatible, io.
Manifest read_manifest(FileSystem& fs, const std::string& checkpoint_path);

}  // namespace checkpoint::store
