#include "store/directory/staging.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "store/directory/retire.h"
#include "store/io/file.h"
#include "store/io/file_sink.h"
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
                              const std::function<void(ByteSink&)>& content, uint64_t reserved,
                              base::Meter* meter) const {
  // Without this check, a moved directory would be reported as a file that cannot be created.
  directory_.require_held();
  FileSink sink(directory_.fs(), join(path(), name), reserved, meter);
  content(sink);
  return sink.finish(name);
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
