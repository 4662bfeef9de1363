#pragma once

#include "store/io/file_system.h"

#include <checkpoint/manifest.h>

#include <string>

namespace checkpoint::store {

/// The newest format that this library writes and reads.
inline constexpr int64_t kFormatVersion = 1;

/// No manifest or marker may claim a later place: there must be a next one.
inline constexpr int64_t kMaxSequence = int64_t{1} << 62;

/// The text of manifest.json. Its last field is the XXH3-128 of all the bytes before that field.
/// Throws Error(invalid_argument) if a name in it is not UTF-8.
std::string encode_manifest(const Manifest& manifest);

/// Reads it back. `path` is for error texts. Throws Error(corrupt) if a byte of it was changed or
/// cut off, or if it is not one of ours; Error(incompatible) if a newer library wrote it.
Manifest decode_manifest(const std::string& text, const std::string& path);

/// Reads a checkpoint directory's manifest. Throws Error: not_found, corrupt, incompatible, io.
Manifest read_manifest(FileSystem& fs, const std::string& checkpoint_path);

}  // namespace checkpoint::store
