// How a checkpoint is removed, and why a pin made in time always prevents it:
//
//   1. Rename NAME to .retiring-NAME.
//   2. Check for its pin. If it is pinned, rename it back: it stays.
//   3. Rename .retiring-NAME to .retired-RANDOM: the removal is decided. fsync the directory.
//   4. Remove its files, the marker last.
//
// pin works the other way round: it makes its file first, then checks for NAME. If NAME is missing,
// pin renames .retiring-NAME back. That rename and the rename in step 3 cannot both succeed. So
// there are three cases: step 2 has seen the pin, or pin has brought the checkpoint back, or pin
// reports not_found.
//
// A writer that dies between 1 and 3 leaves the checkpoint whole. The next writer puts it back if
// it is pinned, or continues with 3.
//
// Before 1, 3 and each removal of a sweep, we check that the path still leads to the directory that
// we hold (writer_hold.h). Step 4 needs no check: no other directory has that random name.

#include "store/directory/retire.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/directory/pins.h"
#include "store/io/file.h"
#include "store/records/marker.h"
#include "store/records/names.h"

#include <algorithm>
#include <cerrno>

namespace checkpoint::store {
namespace {

// The manifest first: without it, the directory is no longer a checkpoint.
constexpr const char* kRecords[] = {kManifestFile, kTensorTableFile};

void unlink_if_there(FileSystem& fs, const std::string& path) {
  if (fs.unlink(path.c_str()) != 0 && errno != ENOENT) {
    throw system_failure("remove the file", path, errno);
  }
}

bool is_ours(const std::string& name) {
  return name == kMarkerFile || holds_tensors(name) ||
         std::find(std::begin(kRecords), std::end(kRecords), name) != std::end(kRecords);
}

bool holds_only_ours(FileSystem& fs, const std::string& path) {
  // Empty if the directory was removed in the meantime, which a reader next to the writer must
  // expect.
  const std::vector<std::string> names = list_directory(fs, path);
  return std::all_of(names.begin(), names.end(), is_ours);
}

// Returns whether a hidden directory is a staging or retired one of this library. Its marker proves
// that. But a crash of the machine may lose the marker and keep other files: then the name must
// have our pattern, and all files must be ours.
bool is_leftover(FileSystem& fs, const std::string& name, const std::string& path) {
  constexpr size_t kIdDigits = 16;
  const size_t id = name.find_first_of('-') + 1;
  if (has_marker(fs, path)) return true;
  return name.size() == id + kIdDigits &&
         name.find_first_not_of("0123456789abcdef", id) == std::string::npos &&
         holds_only_ours(fs, path);
}

bool is_undecided(const std::string& name) { return name.rfind(kRetiringPrefix, 0) == 0; }

bool is_hidden(const std::string& name) {
  return is_undecided(name) || name.rfind(kStagingPrefix, 0) == 0 ||
         name.rfind(kRetiredPrefix, 0) == 0;
}

std::string retiring_path(const Directory& directory, const std::string& name) {
  return directory.path_of(kRetiringPrefix + name);
}

// If we cannot check for the pin, we assume that it exists.
bool may_be_pinned(const Directory& directory, const std::string& name) noexcept {
  try {
    return is_pinned(directory, name);
  } catch (const std::exception& error) {
    base::log_warning(error.what());
    return true;
  }
}

// Steps 2 to 4. Returns whether the checkpoint was removed.
bool finish_retiring(const Directory& directory, const std::string& name) {
  FileSystem& fs = directory.fs();
  if (may_be_pinned(directory, name)) {
    put_back(directory, name);
    return false;
  }
  const std::string decided = kRetiredPrefix + base::random_id();
  if (directory.move_aside(kRetiringPrefix + name, decided) != 0) {
    if (errno == ENOENT) return false;  // pin has brought it back.
    throw system_failure("hide the retired checkpoint", directory.path_of(name), errno);
  }
  // Before any file is removed: after a crash, the old name must not show half a checkpoint.
  sync_directory(fs, directory.path());
  remove_checkpoint_files(fs, directory.path_of(decided));
  return true;
}

void sweep_one(const Directory& directory, const std::string& name) {
  FileSystem& fs = directory.fs();
  const std::string path = directory.path_of(name);
  if (!S_ISDIR(status_of(fs, path).st_mode)) return;  // Never follow a link.
  directory.require_held();
  if (is_undecided(name)) {
    if (has_marker(fs, path)) finish_retiring(directory, name.substr(sizeof kRetiringPrefix - 1));
  } else if (is_leftover(fs, name, path)) {
    base::log_debug("removing '" + path + "', which a killed writer left");
    remove_checkpoint_files(fs, path);
  } else {
    // Not ours, unless it is empty: rmdir refuses to remove anything else.
    fs.rmdir(path.c_str());
  }
}

}  // namespace

std::string obstacle_to_retiring(const Directory& directory, const std::string& name) {
  const std::string path = directory.path_of(name);
  if (!has_marker(directory.fs(), path))
    return "it has no marker file (.torch-checkpoint), so it may not be ours";
  if (!holds_only_ours(directory.fs(), path)) return "it has files that this library did not write";
  if (!is_plain_name(kRetiringPrefix + name))
    return "its name is too long to add the prefix that hides it";
  return "";
}

bool retire(const Directory& directory, const std::string& name) {
  const std::string obstacle = obstacle_to_retiring(directory, name);
  if (!obstacle.empty()) {
    base::log_warning("checkpoint '" + directory.path_of(name) +
                      "' is not removed, although no rule keeps it: " + obstacle);
    return false;
  }
  if (may_be_pinned(directory, name)) return false;
  if (directory.move_aside(name, kRetiringPrefix + name) != 0) {
    throw system_failure("hide the retired checkpoint", directory.path_of(name), errno);
  }
  return finish_retiring(directory, name);
}

bool put_back(const Directory& directory, const std::string& name) {
  const std::string from = retiring_path(directory, name), to = directory.path_of(name);
  if (!is_plain_name(kRetiringPrefix + name) || !S_ISDIR(status_of(directory.fs(), from).st_mode) ||
      !has_marker(directory.fs(), from)) {
    return false;
  }
  directory.require_held();
  if (directory.fs().rename_noreplace(from.c_str(), to.c_str()) != 0) {
    if (errno == ENOENT) return false;  // Another process was faster.
    if (errno != EEXIST) throw system_failure("put the pinned checkpoint back", to, errno);
    base::log_warning("'" + from + "' is pinned but cannot be put back: its name is taken");
    return false;
  }
  sync_directory(directory.fs(), directory.path());
  return true;
}

void begin_writing(Directory& directory, TakeLock lock, std::optional<WriterHold>& hold) {
  hold.emplace(directory.fs(), directory.path(), lock);
  directory.write_under(*hold);
  put_back_pinned(directory);
}

void put_back_pinned(const Directory& directory) noexcept {
  try {
    for (const std::string& name : read_pins(directory)) {
      if (is_checkpoint_name(name) && put_back(directory, name)) {
        base::log_info("put back the pinned checkpoint '" + directory.path_of(name) + "'");
      }
    }
  } catch (const std::exception& error) {
    base::log_warning(std::string("a pinned checkpoint may be hidden: ") + error.what());
  }
}

void sweep(const Directory& directory) {
  FileSystem& fs = directory.fs();
  std::vector<std::string> names;
  if (fs.list(directory.path().c_str(), &names) != 0) {
    throw reading_failure("list the directory", directory.path(), errno);
  }
  names.erase(
      std::remove_if(names.begin(), names.end(), [](const auto& name) { return !is_hidden(name); }),
      names.end());
  if (names.empty()) return;
  // Before any file is removed: after a crash, a checkpoint that was just retired could have its
  // old name again.
  sync_directory(fs, directory.path());
  for (const std::string& name : names) {
    try {
      sweep_one(directory, name);
    } catch (const Error& error) {
      base::log_warning(std::string("could not remove the files of a killed writer: ") +
                        error.what());
    }
  }
}

void remove_checkpoint_files(FileSystem& fs, const std::string& path) {
  for (const std::string& name : list_directory(fs, path)) {
    if (is_ours(name) && name != kMarkerFile) unlink_if_there(fs, join(path, name));
  }
  // The marker is removed last, also after a crash: without it, no sweep would remove the rest.
  sync_directory(fs, path);
  unlink_if_there(fs, join(path, kMarkerFile));
  if (fs.rmdir(path.c_str()) != 0) throw system_failure("remove the directory", path, errno);
}

}  // namespace checkpoint::store
