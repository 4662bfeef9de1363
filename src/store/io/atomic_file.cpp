// Replaces a file in one step, so that a crash leaves the old file or the whole new one:
//
//   1. Follow links to the file that will be replaced.
//   2. Refuse directories, pipes and write-protected files, before anything is created.
//   3. Create a hidden file in the same directory. Give it the owner and permissions of the old
//      file while it is still empty: a program that opens it early must not see more than before.
//   4. Write the content and sync it.
//   5. Rename the hidden file over the old one, and sync the directory.

#include "store/io/atomic_file.h"

#include "base/clock.h"
#include "store/io/file_sink.h"

#include <unistd.h>

#include <cerrno>

namespace checkpoint::store {

namespace {

// Linux follows the same number of links.
constexpr int kMaxLinks = 40;

constexpr uid_t kSameOwner = static_cast<uid_t>(-1);

// The file to replace. If it does not exist, `old.st_mode` is 0.
struct Target {
  std::string path;
  struct stat old;
};

Error endless_link(const std::string& path) {
  return Error(ErrorCode::kIo,
               "cannot follow the link: it leads in a circle or through too many links", path,
               ELOOP, "Remove the link, or use another file.");
}

Error not_regular(const std::string& path) {
  return Error(ErrorCode::kInvalidArgument, "not replaced: this is not a regular file", path, 0,
               "Use another file.");
}

// The status of the file at the end of all links. All zero if that file does not exist.
struct stat look_behind(FileSystem& fs, const std::string& link) {
  struct stat info = {};
  if (fs.stat(link.c_str(), &info) == 0) return info;
  if (errno == ELOOP) throw endless_link(link);
  if (errno != ENOENT && errno != ENOTDIR) throw system_failure("follow the link", link, errno);
  return {};
}

std::string next_of(FileSystem& fs, const std::string& link) {
  std::string next;
  if (fs.readlink(link.c_str(), &next) != 0) throw system_failure("read the link", link, errno);
  return next[0] == '/' ? next : join(parent_of(link), next);
}

// The link itself stays. The file that it leads to is replaced or created.
Target end_of_links(FileSystem& fs, const std::string& given) {
  Target target = {given, status_of(fs, given)};
  if (!S_ISLNK(target.old.st_mode)) return target;
  const mode_t behind = look_behind(fs, given).st_mode;
  for (int links = 0; S_ISLNK(target.old.st_mode); ++links) {
    if (links == kMaxLinks) throw endless_link(given);
    target.path = next_of(fs, target.path);
    target.old = status_of(fs, target.path);
  }
  // /dev/stdout can lead to a pipe or a deleted file. Neither has a path.
  if ((behind & S_IFMT) != (target.old.st_mode & S_IFMT)) throw not_regular(given);
  return target;
}

// The system allows a rename over a file that the user may not write. Users expect a refusal, also
// for root, so we check it ourselves.
void check_writable(FileSystem& fs, const Target& target) {
  int reason = (target.old.st_mode & S_IWUSR) == 0 ? EACCES : 0;
  if (reason == 0 && fs.eaccess(target.path.c_str(), W_OK) != 0) reason = errno;
  if (reason == 0 || reason == ENOENT) return;  // Removed in the meantime.
  if (reason != EACCES && reason != EPERM && reason != EROFS) {
    throw system_failure("check the file", target.path, reason);
  }
  throw Error(ErrorCode::kIo, "not replaced: the file is write-protected", target.path, reason,
              "Make it writable (chmod u+w), or use another file.");
}

void check_replaceable(FileSystem& fs, const Target& target) {
  const mode_t mode = target.old.st_mode;
  if (mode == 0) return;
  if (S_ISDIR(mode)) {
    throw Error(ErrorCode::kInvalidArgument, "not replaced: this is a directory", target.path, 0,
                "Use another file.");
  }
  if (!S_ISREG(mode)) throw not_regular(target.path);
  check_writable(fs, target);
}

// Returns false if this user or this file system cannot change the owner.
bool give_to(FileSystem& fs, int fd, uid_t owner, gid_t group, const std::string& path) {
  if (fs.fchown(fd, owner, group) == 0) return true;
  switch (errno) {
    case EPERM:
    case EACCES:
    case EINVAL:  // This user namespace does not know the owner.
    case ENOSYS:
    case EOPNOTSUPP:
      return false;
    default:
      throw system_failure("give the new file the owner of the old one", path, errno);
  }
}

// Returns whether the new file now has the group of the old one.
bool take_owner_over(FileSystem& fs, int fd, const struct stat& fresh, const Target& target) {
  const struct stat& old = target.old;
  if (fresh.st_uid == old.st_uid && fresh.st_gid == old.st_gid) return true;
  if (give_to(fs, fd, old.st_uid, old.st_gid, target.path)) return true;
  if (fresh.st_gid == old.st_gid) return true;
  // An ordinary user cannot change the owner, but can choose a group of their own.
  return give_to(fs, fd, kSameOwner, old.st_gid, target.path);
}

// Gives group and others only what both had before. When the group changes, its new members were
// "others" before, and its old members become "others".
mode_t without_group(mode_t permissions) {
  const mode_t both = (permissions >> 3) & permissions & S_IRWXO;
  return (permissions & S_IRWXU) | both << 3 | both;
}

// Changes the owner first. Otherwise the group permissions would apply to the wrong group.
void take_permissions_over(FileSystem& fs, int fd, const Target& target) {
  struct stat fresh;
  if (fs.fstat(fd, &fresh) != 0) throw system_failure("check the new file", target.path, errno);
  // Drops set-user-ID and set-group-ID, as writing into a file does too.
  const mode_t old = target.old.st_mode & 0777;
  const mode_t permissions = take_owner_over(fs, fd, fresh, target) ? old : without_group(old);
  // File systems without permissions refuse fchmod and report the same mode for all files.
  if ((fresh.st_mode & 0777) == permissions || fs.fchmod(fd, permissions) == 0) return;
  throw Error(ErrorCode::kIo, "cannot give the new file the permissions of the old one",
              target.path, errno, "Remove the old file, or use another one, and save again.");
}

// A user who may not read the old file must never be able to open the hidden one: an open file can
// be read later, whatever its permissions are then.
File create_in_place_of(FileSystem& fs, const std::string& hidden, const Target& target) {
  if (target.old.st_mode == 0) return File::create(fs, hidden);
  File file = File::create(fs, hidden, target.old.st_mode & (S_IRUSR | S_IWUSR));
  take_permissions_over(fs, file.fd(), target);
  return file;
}

}  // namespace

void write_atomically(FileSystem& fs, const std::string& given,
                      const std::function<void(ByteSink&)>& content) {
  const Target target = end_of_links(fs, given);
  check_replaceable(fs, target);
  const std::string parent = parent_of(target.path);
  create_with_parents(fs, parent);
  const std::string hidden = join(parent, ".writing-" + base::random_id());
  try {
    FileSink sink(create_in_place_of(fs, hidden, target));
    content(sink);
    sink.finish(hidden);
    if (fs.rename(hidden.c_str(), target.path.c_str()) != 0) {
      throw system_failure("rename the finished file to its name", target.path, errno);
    }
  } catch (...) {
    fs.unlink(hidden.c_str());
    throw;
  }
  sync_directory(fs, parent);
}

}  // namespace checkpoint::store
