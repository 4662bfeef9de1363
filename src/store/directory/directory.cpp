// One directory of checkpoints: what is in it, and changes that need only one system call. Longer
// changes are in transaction.cpp (a save) and retire.cpp (a removal).
//
// Nothing is cached: each answer comes from the disk, because other processes may write. Each
// change first checks that the writer still holds this directory (writer_hold.h).

#include "store/directory/directory.h"

#include "store/directory/writer_hold.h"
#include "store/io/file.h"
#include "store/records/manifest.h"
#include "store/records/marker.h"
#include "store/records/names.h"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>

namespace checkpoint::store {
namespace {

// A limit, because other programs may create and remove files all the time.
constexpr int kMaxScans = 100;

// A pin may have just renamed the checkpoint back, so a manifest that was missing is read again.
Manifest read_settled_manifest(FileSystem& fs, const std::string& checkpoint_path) {
  try {
    return read_manifest(fs, checkpoint_path);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound || !has_marker(fs, checkpoint_path)) throw;
    return read_manifest(fs, checkpoint_path);
  }
}

// If the disk does not answer, we must not report an empty directory: the training would start from
// scratch.
bool may_be_ours(FileSystem& fs, const std::string& path) {
  try {
    return looks_like_checkpoint(fs, path);
  } catch (const Error&) {
    return true;
  }
}

}  // namespace

Error no_name_error(const Directory& directory, const std::string& name) {
  return Error(ErrorCode::kInvalidArgument, "'" + name + "' is not a valid checkpoint name",
               directory.path(), 0, "Use list to see the names.");
}

void refuse_dangling(FileSystem& fs, const std::string& path) {
  const size_t end = path.find_last_not_of('/');
  if (end == std::string::npos) return;
  std::string at = path.substr(0, end + 1);  // lstat would follow a link with a slash at its end.
  while (at != "/" && at != ".") {
    const mode_t mode = status_of(fs, at).st_mode;
    struct stat target;
    if (S_ISLNK(mode) && fs.stat(at.c_str(), &target) != 0) {
      std::string to;
      fs.readlink(at.c_str(), &to);
      throw Error(ErrorCode::kNotFound, "this link leads nowhere (" + to + ")", at, errno,
                  "Mount or create what it leads to, or choose another directory.");
    }
    if (mode != 0) return;
    at = parent_of(at);
  }
}

Directory::Directory(FileSystem& fs, std::string path) : fs_(&fs), path_(std::move(path)) {
  if (path_.empty() || path_.find('\0') != std::string::npos) {
    throw Error(ErrorCode::kInvalidArgument, "the directory's name is empty or has a NUL byte",
                path_);
  }
}

std::string Directory::path_of(const std::string& name) const { return join(path_, name); }

void Directory::require_held() const {
  const WriterHold* const hold = hold_;
  if (hold != nullptr) hold->require_held();
}

int Directory::move_aside(const std::string& from, const std::string& to) const {
  const std::string from_path = path_of(from), to_path = path_of(to);
  require_held();
  const int result = fs_->rename_noreplace(from_path.c_str(), to_path.c_str());
  if (result != 0) return result;
  try {
    require_held();
  } catch (const Error&) {
    fs_->rename_noreplace(to_path.c_str(), from_path.c_str());
    throw;
  }
  return 0;
}

bool Directory::exists() const { return is_directory(*fs_, path_); }

void Directory::create() const {
  refuse_dangling(*fs_, path_);
  create_with_parents(*fs_, path_);
  // mkdir reports EEXIST for a file too.
  if (!exists()) {
    throw Error(ErrorCode::kInvalidArgument, "this is a file, not a directory", path_, ENOTDIR,
                "Choose another directory for the checkpoints.");
  }
}

std::vector<FoundCheckpoint> Directory::scan() const {
  std::vector<FoundCheckpoint> found;
  // The writer may remove a checkpoint after we have listed the names. The newer one that replaced
  // it may be missing from our list, so we scan again.
  for (int scan = 0; scan < kMaxScans && !scan_once(found); ++scan) {
  }
  sort_by_sequence(found);
  return found;
}

void sort_by_sequence(std::vector<FoundCheckpoint>& found) {
  // A checkpoint of unknown sequence may be the newest, so it comes last and is tried first. But if
  // we may not read it at all, it is probably another user's directory, and comes first.
  const auto order = [](const FoundCheckpoint& checkpoint) {
    if (checkpoint.sequence > 0) return checkpoint.sequence;
    const bool closed = checkpoint.problem && checkpoint.problem->system_error() == EACCES;
    return closed ? 0 : std::numeric_limits<int64_t>::max();
  };
  std::sort(
      found.begin(), found.end(), [&](const FoundCheckpoint& left, const FoundCheckpoint& right) {
        return std::make_pair(order(left), left.name) < std::make_pair(order(right), right.name);
      });
}

bool Directory::scan_once(std::vector<FoundCheckpoint>& found) const {
  found.clear();
  for (const std::string& name : names()) {
    if (std::optional<FoundCheckpoint> checkpoint = find(name)) {
      found.push_back(std::move(*checkpoint));
    } else if (is_checkpoint_name(name) && status_of(*fs_, path_of(name)).st_mode == 0) {
      return false;
    }
  }
  return true;
}

std::vector<std::string> Directory::set_aside_names() const {
  std::vector<std::string> result;
  for (const std::string& name : names()) {
    if (is_set_aside(name) && may_be_ours(*fs_, path_of(name))) result.push_back(name);
  }
  std::sort(result.begin(), result.end());
  return result;
}

int64_t Directory::highest_sequence(const std::vector<FoundCheckpoint>& found) const {
  int64_t highest = 0;
  for (const FoundCheckpoint& checkpoint : found) {
    highest = std::max(highest, checkpoint.sequence);
  }
  for (const std::string& name : set_aside_names()) {
    highest = std::max(highest, marked_sequence(*fs_, path_of(name)));
  }
  return highest;
}

std::string Directory::free_name(const std::string& wanted) const {
  std::string name = wanted;
  for (int version = 2; status_of(*fs_, path_of(name)).st_mode != 0; ++version) {
    name = wanted + "-v" + std::to_string(version);
  }
  return name;
}

std::string Directory::set_aside(const std::string& name) const {
  const std::string first = name + ".corrupt";
  std::string aside = first;
  for (int count = 2; status_of(*fs_, path_of(aside)).st_mode != 0; ++count) {
    aside = first + "-" + std::to_string(count);
  }
  if (move_aside(name, aside) != 0) {
    throw system_failure("set the damaged checkpoint aside", path_of(name), errno);
  }
  sync_directory(*fs_, path_);
  return aside;
}

void Directory::point_link(const std::string& link, const std::string& name) const {
  const std::string path = path_of(link);
  const mode_t mode = status_of(*fs_, path).st_mode;
  if (mode != 0 && !S_ISLNK(mode)) return;  // The user's own file or directory.
  // symlink cannot replace the old link, so we make a new one and rename it.
  require_held();
  const std::string fresh = path_of("." + link + ".new");
  fs_->unlink(fresh.c_str());
  if (fs_->symlink(name.c_str(), fresh.c_str()) != 0 ||
      fs_->rename(fresh.c_str(), path.c_str()) != 0) {
    throw system_failure("move the link", path, errno);
  }
}

void Directory::remove_dangling_link(const std::string& link) const {
  const std::string path = path_of(link);
  if (!S_ISLNK(status_of(*fs_, path).st_mode) || status_of(*fs_, join(path, ".")).st_mode != 0)
    return;
  require_held();
  if (fs_->unlink(path.c_str()) != 0) throw system_failure("remove the link", path, errno);
}

std::vector<std::string> Directory::names() const {
  std::vector<std::string> result;
  if (fs_->list(path_.c_str(), &result) != 0) {
    if (errno != ENOENT) throw reading_failure("list the directory", path_, errno);
    refuse_dangling(*fs_, path_);
  }
  return result;
}

std::optional<FoundCheckpoint> Directory::find(const std::string& name) const {
  if (!is_checkpoint_name(name)) return std::nullopt;
  FoundCheckpoint found;
  found.name = name;
  found.path = path_of(name);
  if (!S_ISDIR(status_of(*fs_, found.path).st_mode)) return std::nullopt;
  try {
    found.manifest = read_settled_manifest(*fs_, found.path);
    found.manifest.name = name;  // The directory may have been renamed after the save.
    found.sequence = found.manifest.sequence;
    return found;
  } catch (const Error& error) {
    // Many programs write a manifest.json, and retention may have just removed this checkpoint.
    // Without our marker or table it is not ours. If we cannot check that, we assume that it is.
    if (!may_be_ours(*fs_, found.path) || name == "lost+found") return std::nullopt;
    found.problem = error;
  }
  found.sequence = marked_sequence(*fs_, found.path);
  return found;
}

}  // namespace checkpoint::store
