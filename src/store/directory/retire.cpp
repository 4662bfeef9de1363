// How a checkpoint goes, without ever going while a pin is there that was made in time:
//
//   1. Rename NAME to .retiring-NAME.
//   2. Look for its pin. If there is one: rename it back; it stays.
//   3. Rename .retiring-NAME to .retired-RANDOM: now it is decided. fsync the directory.
//   4. Remove its files, the marker last.
//
// pin makes its file first, and looks for NAME then. If NAME is not there, it renames
// .retiring-NAME back itself: that rename and the one of step 3 cannot both succeed. So either the
// pin was seen, or the checkpoint was brought back, or pin says not_found. A writer that dies
// between 1 and 3 leaves the checkpoint whole: the next one puts it back if it is pinned, and else
// continues with 3.
//
// Before 1, 3 and each removal of a sweep, the path must still lead to the directory that is held
// (writer_hold.h). By its random name, what 4 removes can stand in no other.

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

// The manifest first: from then on it is not a checkpoint any more.
constexpr const char* kRecords[] = {kManifestFile, kTensorTableFile};

void unlink_if_there(FileSystem& fs, const std::string& path) {
  if (fs.unlink(path.c_str()) != 0 && errno != ENOENT) {
    throw system_failure("remove the file", path, errno);
  }
}

bool is_ours(const std::string& name) {
  return name == kMarkerFile || is_content_file(name) ||
         std::find(std::begin(kRecords), std::end(kRecords), name) != std::end(kRecords);
}

bool holds_only_ours(FileSystem& fs, const std::string& path) {
  // Removed in the meantime. A reader that runs next to the writer must expect that.
  const std::vector<std::string> names = list_directory(fs, path);
  return std::all_of(names.begin(), names.end(), is_ours);
}

// A staging or retired directory as this library names them. That it was made by it is what its
// marker says; a crash of the machine may have taken the marker's name and left those of other
// files.
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

// A pin that cannot be looked for may be there.
bool may_be_pinned(const Directory& directory, const std::string& name) noexcept {
  try {
    return is_pinned(directory, name);
  } catch (const std::exception& error) {
    base::log_warning(error.what());
    return true;
  }
}

// Steps 2 to 4.
bool finish_retiring(const Directory& directory, const std::string& name) {
  FileSystem& fs = directory.fs();
  if (may_be_pinned(directory, name)) {
    put_back(directory, name);
    return false;
  }
  const std::string decided = kRetiredPrefix + base::random_id();
  if (directory.move_aside(kRetiringPrefix + name, decided) != 0) {
    if (errno == ENOENT) return false;  // A pin has brought it back.
    throw system_failure("hide the retired checkpoint", directory.path_of(name), errno);
  }
  // Before any file goes: after a crash it must not stand half empty under its old name.
  sync_directory(fs, directory.path());
  remove_checkpoint_files(fs, directory.path_of(decided));
  return true;
}

void sweep_one(const Directory& directory, const std::string& name) {
  FileSystem& fs = directory.fs();
  const std::string path = directory.path_of(name);
  if (!S_ISDIR(status_of(fs, path).st_mode)) return;  // A link would lead elsewhere.
  directory.require_held();
  if (is_undecided(name)) {
    if (has_marker(fs, path)) finish_retiring(directory, name.substr(sizeof kRetiringPrefix - 1));
  } else if (is_leftover(fs, name, path)) {
    base::log_debug("removing '" + path + "', which a killed writer left");
    remove_checkpoint_files(fs, path);
  } else {
    // If it is empty, nothing is lost; anything else is not ours, and rmdir refuses.
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
    return "its name is too long for the name that hides it";
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
    if (errno == ENOENT) return false;  // Somebody else was faster.
    if (errno != EEXIST) throw system_failure("put the pinned checkpoint back", to, errno);
    base::log_warning("'" + from + "' is pinned, and cannot be put back: its name is taken");
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
  // Before any file goes: what was retired just before a crash could stand under its old name
  // again.
  sync_directory(fs, directory.path());
  for (const std::string& name : names) {
    try {
      sweep_one(directory, name);
    } catch (const Error& error) {
      base::log_warning(std::string("the files of a killed writer could not be removed: ") +
                        error.what());
    }
  }
}

void remove_checkpoint_files(FileSystem& fs, const std::string& path) {
  for (const char* file : kRecords) unlink_if_there(fs, join(path, file));
  for (const char* file : kContentFiles) unlink_if_there(fs, join(path, file));
  // The marker goes last, also after a crash: without it, no sweep would remove the rest.
  sync_directory(fs, path);
  unlink_if_there(fs, join(path, kMarkerFile));
  if (fs.rmdir(path.c_str()) != 0) throw system_failure("remove the directory", path, errno);
}

}  // namespace checkpoint::store
