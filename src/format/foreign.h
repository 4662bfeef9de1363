#pragma once

#include "store/io/byte_source.h"
#include "store/io/file_system.h"

#include <string>
#include <string_view>

// Files in formats that this library does not read: what they are, and what to do with them.

namespace checkpoint::format {

/// How many bytes from the front suffice to recognise a file.
constexpr size_t kForeignBytes = 512;

/// Throws Error(unsupported) that says what the file is, judged by its first bytes.
[[noreturn]] void throw_foreign(const store::ByteSource& source, std::string_view begin);

/// Returns whether a directory is a checkpoint of this library, whole or damaged.
bool is_checkpoint(store::FileSystem& fs, const std::string& path);

/// Throws Error(unsupported) if the directory is not a checkpoint; the error names what in it may
/// be meant.
void need_checkpoint(store::FileSystem& fs, const std::string& path);

}  // namespace checkpoint::format
