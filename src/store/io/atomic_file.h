#pragma once

#include "store/io/byte_sink.h"
#include "store/io/file_system.h"

#include <functional>
#include <string>

namespace checkpoint::store {

/// Replaces a single file in one step. At any moment, and after a crash, the path has either the
/// old file or the whole new one. `content` fills a hidden file in the same directory, which is
/// synced and renamed over the old file. If the path is a link, the file that it leads to is
/// replaced or created. Missing parents are created.
///
/// The new file gets the permissions of the old one before its first byte is written. It also gets
/// its owner and group, if the system allows that. If the group cannot be kept, group and others
/// get only the permissions that both had. Set-user-ID and set-group-ID are dropped. Access control
/// lists, extended attributes and other hard links stay with the old file.
///
/// Throws Error, and then changes nothing: invalid_argument if the path is not a regular file; io
/// if this user may not write the old file, if the file is write-protected (also for root), or if
/// links lead in a circle; no_space; io; and what `content` throws.
void write_atomically(FileSystem& fs, const std::string& path,
                      const std::function<void(ByteSink&)>& content);

}  // namespace checkpoint::store
