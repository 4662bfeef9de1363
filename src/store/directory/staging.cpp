#include "store/directory/staging.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "store/directory/retire.h"
#include "store/io/file.h"
#include "store/records/names.h"

#include <cerrno>
#include <utility>

namespace checkpoint::store {
namespace {

void check_free_space(const Directory& directory, uint64_t bytes_expected) {
  uint64_t free = 0;
  // If the file system cannot report its free space, we just write: it reports ENOSPC itself.
  if (directory.fs().free_bytes(directory.path().c_str(), &free) != 0) return;
  if (free < bytes_expected) {
    throw Error(ErrorCode::kNoSpace,
                "the checkpoint needs " + std::to_string(bytes_expected) + " bytes, but only " +
                    std::to_string(free) + " are free",
                directory.path(), ENOSPC,
                "Free some space, or keep fewer checkpoints (keep_last), and save again.");
  }
}

}  // namespace

Staging::Staging(const Directory& directory, const Marker& marker, uint64_t bytes_expected)
    : directory_(directory), name_(kStagingPrefix + base::random_id()) {
  directory_.require_held();
  if (directory_.fs().mkdir(path().c_str(), 0777) != 0) {
    throw system_failure("create the directory", path(), errno);
  }
  try {
    write_marker(directory_.fs(), path(), marker);
    check_free_space(directory_, bytes_expected);
  } catch (...) {
    remove();
    throw;
  }
}

Staging::Staging(const Directory& directory, std::string name)
    : directory_(directory), name_(std::move(name)) {
  if (!is_plain_name(name_) || !base::begins_with(name_, kStagingPrefix)) {
    throw Error(ErrorCode::kInvalidArgument,
                "'" + name_ + "' is not the name of a staging directory", directory_.path());
  }
  if (!has_marker(directory_.fs(), path())) {
    throw Error(ErrorCode::kNotFound, "the staging directory does not exist", path(), 0,
                "Begin the save again: the process that made it has failed or finished.");
  }
}

FileEntry Staging::write_file(const std::string& name,
                              const std::function<void(ByteSink&)>& content,
                              const SinkOptions& options) const {
  // Without this check, a moved directory would be reported as a file that cannot be created.
  directory_.require_held();
  FileSink sink(directory_.fs(), join(path(), name), options);
  content(sink);
  return sink.finish(name);
}

// Links first and looks then: what has been looked at can no longer be replaced.
FileEntry Staging::link_file(const std::string& from, const KnownFile& known,
                             const std::string& name) const {
  directory_.require_held();
  FileSystem& fs = directory_.fs();
  const std::string to = join(path(), name);
  if (fs.link(from.c_str(), to.c_str()) != 0) {
    throw system_failure("link the file of an earlier checkpoint", from, errno);
  }
  try {
    File file = File::open(fs, to);
    if (!known.is(file.status())) {
      throw Error(ErrorCode::kCorrupt, "this is not the file that was saved or verified", from);
    }
    file.sync();  // Some file systems sync a new name with the file, not with its directory.
    file.close();
  } catch (...) {
    fs.unlink(to.c_str());
    throw;
  }
  return {name, known.entry.bytes, known.entry.xxh3_128};
}

void Staging::remove_file(const std::string& name) const noexcept {
  const std::string file = join(path(), name);
  if (directory_.fs().unlink(file.c_str()) == 0) return;
  base::log_warning(system_failure("remove the file", file, errno).what());
}

void Staging::remove() const noexcept {
  try {
    remove_checkpoint_files(directory_.fs(), path());
  } catch (const std::exception& error) {
    base::log_warning(std::string("a failed save left its files; the next save removes them: ") +
                      error.what());
  }
}

}  // namespace checkpoint::store
