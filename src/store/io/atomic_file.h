#pragma once

#include "store/io/byte_sink.h"
#include "store/io/file_system.h"

#include <functional>
#include <string>

namespace checkpoint::store {

/// Writes a single file so that at its path stands, at any moment and after a crash, either what
/// was there before or the whole new file: `content` fills a hidden file beside it, which is synced
/// and renamed over. Where a link stands, what it leads to is replaced. Missing parents are
/// created. Throws Error: invalid_argument where something else than a file stands; no_space, io,
/// and what `content` throws. Then nothing has changed.
void write_atomically(FileSystem& fs, const std::string& path,
                      const std::function<void(ByteSink&)>& content);

}  // namespace checkpoint::store
