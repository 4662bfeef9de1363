#pragma once

#include "store/io/file_system.h"

#include <checkpoint/manifest.h>

#include <string>

#include <sys/stat.h>
#include <time.h>

namespace checkpoint::store {

/// A file of a checkpoint that this process has written, or whose digest it has checked. A plain
/// value, which recognises the very file later.
struct KnownFile {
  FileEntry entry;
  dev_t device = 0;
  ino_t inode = 0;
  timespec modified = {};

  /// Returns whether this is the status of that file, and nobody has written to it since.
  bool is(const struct stat& status) const;
};

/// Notes the file at `path`. Throws Error: io; corrupt if it is not an ordinary file of the size
/// that `entry` names.
KnownFile know_file(FileSystem& fs, const std::string& path, FileEntry entry);

}  // namespace checkpoint::store
