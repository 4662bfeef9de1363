#include "store/directory/known_file.h"

#include "store/io/file.h"

#include <checkpoint/error.h>

#include <utility>

namespace checkpoint::store {

bool KnownFile::is(const struct stat& status) const {
  return S_ISREG(status.st_mode) && status.st_dev == device && status.st_ino == inode &&
         static_cast<uint64_t>(status.st_size) == entry.bytes &&
         status.st_mtim.tv_sec == modified.tv_sec && status.st_mtim.tv_nsec == modified.tv_nsec;
}

KnownFile know_file(FileSystem& fs, const std::string& path, FileEntry entry) {
  const struct stat status = status_of(fs, path);
  KnownFile known{std::move(entry), status.st_dev, status.st_ino, status.st_mtim};
  if (known.is(status)) return known;
  throw Error(ErrorCode::kCorrupt, "this is not the file that the manifest names", path);
}

}  // namespace checkpoint::store
