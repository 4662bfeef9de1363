#pragma once

#include "store/io/byte_sink.h"
#include "store/io/file_system.h"

#include <functional>
#include <string>

namespace checkpoint::store {

/// Writes a single file so that at its path stands, at any moment and after a crash, either what
/// was there before or the whole new file: `content` fills a hidden file beside it, which is synced
/// and renamed over. Where a link stands, what it leads to is replaced or created. Missing parents
/// are created.
///
/// The new file has the permissions of the old one from before its first byte, and its owner and
/// group where the system allows that. Where the group cannot be kept, group and others are allowed
/// what both were allowed. Set-user-ID and set-group-ID are dropped; access control lists, extended
/// attributes and further hard links stay with the old file.
///
/// Throws Error: invalid_argument where something else than a file stands; io where the old file
/// may not be written by this user or, also for root, by its owner, and where links lead in a
/// circle; no_space, io, and what `content` throws. Then nothing has changed.
void write_atomically(FileSystem& fs, const std::string& path,
                      const std::function<void(ByteSink&)>& content);

}  // namespace checkpoint::store
