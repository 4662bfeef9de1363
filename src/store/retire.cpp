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
constexpr const char* kFiles[] = {kManifestFile, kTensorTableFile, kArchiveFile, kPthFile};

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

bool starts_with(const std::string& text, const char* prefix) { return text.rfind(prefix, 0) == 0; }

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
  for (const std::string& name : names) {
    if (!starts_with(name, kStagingPrefix) && !starts_with(name, kRetiredPrefix)) continue;
    const std::string path = directory.path_of(name);
    if (has_marker(fs, path)) {
      log_debug("removing '" + path + "', which a dead writer left");
      remove_checkpoint_files(fs, path);
    } else {
      // A writer that died before its marker was in, or after it was out, left it empty; anything
      // else is not ours, and rmdir refuses.
      fs.rmdir(path.c_str());
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
