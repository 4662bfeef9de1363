#include "store/retire.h"

#include "store/clock.h"
#include "store/file.h"
#include "store/log.h"
#include "store/marker.h"
#include "store/names.h"

#include <algorithm>
#include <cerrno>

namespace checkpoint::store {
namespace {

// The manifest first: from then on nobody takes it for a checkpoint.
constexpr const char* kFiles[] = {kManifestFile, kTensorTableFile, kArchiveFile};

void unlink_if_there(FileSystem& fs, const std::string& path) {
  if (fs.unlink(path.c_str()) != 0 && errno != ENOENT) {
    throw system_failure("remove the file", path, errno);
  }
}

bool is_ours(const std::string& name) {
  return name == kMarkerFile ||
         std::find(std::begin(kFiles), std::end(kFiles), name) != std::end(kFiles);
}

bool holds_only_ours(FileSystem& fs, const std::string& path) {
  std::vector<std::string> names;
  if (fs.list(path.c_str(), &names) != 0) throw system_failure("list the directory", path, errno);
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

bool is_hidden(const std::string& name) {
  return name.rfind(kStagingPrefix, 0) == 0 || name.rfind(kRetiredPrefix, 0) == 0;
}

void sweep_one(FileSystem& fs, const std::string& name, const std::string& path) {
  if (is_leftover(fs, name, path)) {
    log_debug("removing '" + path + "', which a dead writer left");
    remove_checkpoint_files(fs, path);
  } else {
    // Empty, it is nobody's loss; anything else is not ours, and rmdir refuses.
    fs.rmdir(path.c_str());
  }
}

}  // namespace

bool retire(const Directory& directory, const std::string& name) {
  FileSystem& fs = directory.fs();
  const std::string path = directory.path_of(name);
  if (!has_marker(fs, path) || !holds_only_ours(fs, path)) {
    log_warning("checkpoint '" + path +
                "' is kept although retention has no use for it: it holds files that are not ours");
    return false;
  }
  const std::string hidden = directory.path_of(kRetiredPrefix + random_id());
  if (fs.rename_noreplace(path.c_str(), hidden.c_str()) != 0) {
    throw system_failure("move the retired checkpoint out of sight", path, errno);
  }
  // Before any file goes: after a crash it must not stand half empty under its old name.
  sync_directory(fs, directory.path());
  remove_checkpoint_files(fs, hidden);
  return true;
}

void sweep(const Directory& directory) {
  FileSystem& fs = directory.fs();
  std::vector<std::string> names;
  if (fs.list(directory.path().c_str(), &names) != 0) {
    throw system_failure("list the directory", directory.path(), errno);
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
      sweep_one(fs, name, directory.path_of(name));
    } catch (const Error& error) {
      log_warning(std::string("what a dead writer left is still there: ") + error.what());
    }
  }
}

void remove_checkpoint_files(FileSystem& fs, const std::string& path) {
  for (const char* file : kFiles) unlink_if_there(fs, join(path, file));
  // The marker goes last, also after a crash: without it nobody would dare to sweep the rest.
  sync_directory(fs, path);
  unlink_if_there(fs, join(path, kMarkerFile));
  if (fs.rmdir(path.c_str()) != 0) throw system_failure("remove the directory", path, errno);
}

}  // namespace checkpoint::store
