// Replaces a file in one step: write a hidden file next to it, sync it, rename it over the old one,
// sync the directory. Before that: follow links to what is replaced, refuse what must not be
// replaced, and give the new file the owner and permissions of the old one.

#include "store/io/atomic_file.h"

#include "base/clock.h"
#include "store/io/file_sink.h"

#include <unistd.h>

#include <cerrno>

namespace checkpoint::store {

namespace {

// As many as Linux follows.
constexpr int kMaxLinks = 40;

constexpr uid_t kSameOwner = static_cast<uid_t>(-1);

// The file to replace. If there is none, `old.st_mode` is 0.
struct Target {
  std::string path;
  struct stat old;
};

Error endless_link(const std::string& path) {
  return Error(ErrorCode::kIo, "cannot follow the link: it leads in a circle, or over too many",
               path, ELOOP, "Remove the link, or use another file.");
}

Error not_regular(const std::string& path) {
  return Error(ErrorCode::kInvalidArgument, "not replaced: this is not a regular file", path, 0,
               "Use another file.");
}

// What a link leads to at last; all zero if nothing is there.
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

// A link stays one: what it leads to is replaced, or created.
Target end_of_links(FileSystem& fs, const std::string& given) {
  Target target = {given, status_of(fs, given)};
  if (!S_ISLNK(target.old.st_mode)) return target;
  const mode_t behind = look_behind(fs, given).st_mode;
  for (int links = 0; S_ISLNK(target.old.st_mode); ++links) {
    if (links == kMaxLinks) throw endless_link(given);
    target.path = next_of(fs, target.path);
    target.old = status_of(fs, target.path);
  }
  // /dev/stdout leads to a pipe that no path names, or to a file that is deleted.
  if ((behind & S_IFMT) != (target.old.st_mode & S_IFMT)) throw not_regular(given);
  return target;
}

// To rename over a file takes no right to write into it. The user expects that it does, and that
// a write-protected file is safe from root as well, whom the system never stops.
void check_writable(FileSystem& fs, const Target& target) {
  int reason = (target.old.st_mode & S_IWUSR) == 0 ? EACCES : 0;
  if (reason == 0 && fs.eaccess(target.path.c_str(), W_OK) != 0) reason = errno;
  if (reason == 0 || reason == ENOENT) return;  // Gone in the meantime: nothing to protect.
  if (reason != EACCES && reason != EPERM && reason != EROFS) {
    throw system_failure("look at", target.path, reason);
  }
  throw Error(ErrorCode::kIo, "not replaced: the file is write-protected", target.path, reason,
              "Make it writable (chmod u+w), or use another file.");
}

void check_replaceable(FileSystem& fs, const Target& target) {
  const mode_t mode = target.old.st_mode;
  if (mode == 0) return;
  if (S_ISDIR(mode)) {
    throw Error(ErrorCode::kInvalidArgument, "a directory cannot be replaced by a file",
                target.path, 0, "Use another file.");
  }
  if (!S_ISREG(mode)) throw not_regular(target.path);
  check_writable(fs, target);
}

// False where this user or this file system does not do that.
bool give_to(FileSystem& fs, int fd, uid_t owner, gid_t group, const std::string& path) {
  if (fs.fchown(fd, owner, group) == 0) return true;
  switch (errno) {
    case EPERM:
    case EACCES:
    case EINVAL:  // An owner that this user namespace does not know.
    case ENOSYS:
    case EOPNOTSUPP:
      return false;
    default:
      throw system_failure("give the new file the owner of the old one", path, errno);
  }
}

// Returns whether the new file is of the old one's group now.
bool take_owner_over(FileSystem& fs, int fd, const struct stat& fresh, const Target& target) {
  const struct stat& old = target.old;
  if (fresh.st_uid == old.st_uid && fresh.st_gid == old.st_gid) return true;
  if (give_to(fs, fd, old.st_uid, old.st_gid, target.path)) return true;
  if (fresh.st_gid == old.st_gid) return true;
  // No file can be given away, but it can to a group that the user belongs to.
  return give_to(fs, fd, kSameOwner, old.st_gid, target.path);
}

// What the old group and all others were both allowed. When the group changes, the members of the
// new one were among the others before, and those of the old one are now.
mode_t without_group(mode_t permissions) {
  const mode_t both = (permissions >> 3) & permissions & S_IRWXO;
  return (permissions & S_IRWXU) | both << 3 | both;
}

// The owner first: before that, the group's permissions would be another group's.
void take_permissions_over(FileSystem& fs, int fd, const Target& target) {
  struct stat fresh;
  if (fs.fstat(fd, &fresh) != 0) throw system_failure("look at the new file", target.path, errno);
  // Neither set-user-ID nor set-group-ID: writing into a file takes these from it as well.
  const mode_t old = target.old.st_mode & 0777;
  const mode_t permissions = take_owner_over(fs, fd, fresh, target) ? old : without_group(old);
  // File systems without permissions refuse to change them, and show the same ones for all files.
  if ((fresh.st_mode & 0777) == permissions || fs.fchmod(fd, permissions) == 0) return;
  throw Error(ErrorCode::kIo, "cannot give the new file the permissions of the old one",
              target.path, errno, "Remove the old file, or use another one, and save again.");
}

// Nobody may open the hidden file who may not read the old one: who has it open reads all that is
// written later.
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
