#include "support/memory_file_system.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>
#include <stdexcept>

namespace test {
namespace {

constexpr int kRoot = 0;
constexpr int kMaxLinks = 8;
constexpr mode_t kUmask = 022;

int fail(int error_number) {
  errno = error_number;
  return -1;
}

std::vector<std::string> parts_of(const std::string& path) {
  std::vector<std::string> parts;
  size_t begin = 0;
  while (begin < path.size()) {
    const size_t end = std::min(path.find('/', begin), path.size());
    if (end > begin) parts.push_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

}  // namespace

MemoryFileSystem::MemoryFileSystem() {
  inodes_.emplace_back();
  inodes_[kRoot].kind = Kind::kDirectory;
}

MemoryFileSystem::MemoryFileSystem(const MemoryFileSystem& other) { *this = other; }

MemoryFileSystem& MemoryFileSystem::operator=(const MemoryFileSystem& other) {
  inodes_ = other.inodes_;
  free_bytes_ = other.free_bytes_;
  descriptors_.clear();
  locks_.clear();
  return *this;
}

void MemoryFileSystem::crash(DataFate data, EntryFate entries, uint32_t seed) {
  std::minstd_rand random(seed + 1);
  for (Inode& inode : inodes_) {
    if (inode.kind == Kind::kFile && inode.content != inode.synced) {
      switch (inode.sync_failed ? DataFate::kLost : data) {
        case DataFate::kLost:
          inode.content = inode.synced;
          break;
        case DataFate::kKept:
          break;
        case DataFate::kTruncated:
          inode.content.resize((inode.content.size() + inode.synced.size()) / 2);
          break;
        case DataFate::kGarbage:
          for (char& byte : inode.content) byte = static_cast<char>(random());
          break;
      }
    }
    if (entries != EntryFate::kKept) {
      inode.entries = inode.synced_entries;
      for (const Change& step : inode.changes) {
        if (entries == EntryFate::kLost || random() % 2 == 0) continue;
        if (!step.removed.empty()) inode.entries.erase(step.removed);
        if (!step.added.empty()) inode.entries[step.added] = step.inode;
      }
    }
    inode.synced = inode.content;
    inode.sync_failed = false;
    inode.synced_entries = inode.entries;
    inode.changes.clear();
  }
  descriptors_.clear();
  locks_.clear();
}

void MemoryFileSystem::fail_sync(int fd) {
  const std::lock_guard<std::mutex> hold(mutex_);
  if (Inode* inode = open_inode(fd)) inode->sync_failed = true;
}

void MemoryFileSystem::put(const std::string& path, const std::string& content) {
  std::string parent;
  const std::vector<std::string> parts = parts_of(path);
  for (size_t i = 0; i + 1 < parts.size(); ++i) {
    parent += '/' + parts[i];
    mkdir(parent.c_str(), 0777);
  }
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
  if (fd < 0) throw std::runtime_error("cannot put " + path);
  pwrite(fd, content.data(), content.size(), 0);
  close(fd);
  crash(DataFate::kKept, EntryFate::kKept);  // Which leaves all as it is, synced.
}

std::string MemoryFileSystem::content(const std::string& path) {
  Place place;
  if (existing(path, false, &place) != 0) throw std::out_of_range(path);
  return inodes_[place.inode].content;
}

std::vector<std::string> MemoryFileSystem::names(const std::string& path) {
  std::vector<std::string> result;
  list(path.c_str(), &result);
  return result;
}

std::string MemoryFileSystem::text() const {
  const std::lock_guard<std::mutex> hold(mutex_);
  std::string result;
  std::map<int, size_t> files;  // By inode: the number that stands for it in the text.
  describe_below(kRoot, "", &files, &result);
  return result;
}

void MemoryFileSystem::describe_below(int directory, const std::string& path,
                                      std::map<int, size_t>* files, std::string* text) const {
  for (const auto& [name, number] : inodes_[directory].entries) {
    const Inode& inode = inodes_[number];
    const auto [file, is_new] = files->emplace(number, files->size());
    const std::string here = path + '/' + name;
    *text += here + ' ' + std::to_string(file->second);
    if (inode.kind == Kind::kDirectory) {
      *text += '\n';
      describe_below(number, here, files, text);
    } else {
      *text += inode.kind == Kind::kLink ? " -> " : " ";
      *text += std::to_string(inode.permissions) + ' ' + std::to_string(inode.owner) + ' ' +
               std::to_string(inode.group) + ' ';
      if (is_new) *text += inode.content;
      *text += '\n';
    }
  }
}

int MemoryFileSystem::open(const char* path, int flags, mode_t mode) {
  const std::lock_guard<std::mutex> hold(mutex_);
  Place place;
  const bool exclusive = (flags & O_CREAT) != 0 && (flags & O_EXCL) != 0;
  if (resolve(path, !exclusive && (flags & O_NOFOLLOW) == 0, &place) != 0) return -1;
  if (place.inode == kNone) {
    if ((flags & O_CREAT) == 0) return fail(ENOENT);
    place.inode = add(place, Kind::kFile, {});
    inodes_[place.inode].permissions = mode & ~kUmask;
  } else {
    if (exclusive) return fail(EEXIST);
    const Kind kind = inodes_[place.inode].kind;
    if (kind == Kind::kLink) return fail(ELOOP);
    if (kind == Kind::kDirectory && (flags & O_ACCMODE) != O_RDONLY) return fail(EISDIR);
    if (kind != Kind::kDirectory && (flags & O_DIRECTORY) != 0) return fail(ENOTDIR);
    if ((flags & O_TRUNC) != 0) inodes_[place.inode].content.clear();
  }
  descriptors_[next_descriptor_] = place.inode;
  return next_descriptor_++;
}

int MemoryFileSystem::close(int fd) {
  const std::lock_guard<std::mutex> hold(mutex_);
  locks_.erase(fd);
  return descriptors_.erase(fd) == 1 ? 0 : fail(EBADF);
}

ssize_t MemoryFileSystem::pread(int fd, void* to, size_t count, off_t offset) {
  const std::lock_guard<std::mutex> hold(mutex_);
  const Inode* inode = open_inode(fd);
  if (inode == nullptr) return -1;
  if (inode->kind == Kind::kDirectory) return fail(EISDIR);
  const size_t begin = std::min(static_cast<size_t>(offset), inode->content.size());
  const size_t bytes = std::min(count, inode->content.size() - begin);
  std::memcpy(to, inode->content.data() + begin, bytes);
  return static_cast<ssize_t>(bytes);
}

ssize_t MemoryFileSystem::pwrite(int fd, const void* from, size_t count, off_t offset) {
  const std::lock_guard<std::mutex> hold(mutex_);
  Inode* inode = open_inode(fd);
  if (inode == nullptr) return -1;
  const size_t end = static_cast<size_t>(offset) + count;
  if (inode->content.size() < end) inode->content.resize(end);
  std::memcpy(&inode->content[static_cast<size_t>(offset)], from, count);
  return static_cast<ssize_t>(count);
}

int MemoryFileSystem::fsync(int fd) {
  const std::lock_guard<std::mutex> hold(mutex_);
  Inode* inode = open_inode(fd);
  if (inode == nullptr) return -1;
  if (inode->sync_failed) return 0;
  inode->synced = inode->content;
  inode->synced_entries = inode->entries;
  inode->changes.clear();
  return 0;
}

int MemoryFileSystem::fstat(int fd, struct stat* info) {
  const std::lock_guard<std::mutex> hold(mutex_);
  if (open_inode(fd) == nullptr) return -1;
  describe(descriptors_[fd], info);
  return 0;
}

int MemoryFileSystem::lstat(const char* path, struct stat* info) {
  const std::lock_guard<std::mutex> hold(mutex_);
  Place place;
  if (existing(path, false, &place) != 0) return -1;
  describe(place.inode, info);
  return 0;
}

int MemoryFileSystem::stat(const char* path, struct stat* info) {
  const std::lock_guard<std::mutex> hold(mutex_);
  Place place;
  if (existing(path, true, &place) != 0) return -1;
  describe(place.inode, info);
  return 0;
}

// Root may do anything.
int MemoryFileSystem::eaccess(const char* path, int) {
  const std::lock_guard<std::mutex> hold(mutex_);
  Place place;
  return existing(path, true, &place);
}

int MemoryFileSystem::fchmod(int fd, mode_t mode) {
  const std::lock_guard<std::mutex> hold(mutex_);
  Inode* inode = open_inode(fd);
  if (inode == nullptr) return -1;
  inode->permissions = mode;
  return 0;
}

int MemoryFileSystem::fchown(int fd, uid_t owner, gid_t group) {
  const std::lock_guard<std::mutex> hold(mutex_);
  Inode* inode = open_inode(fd);
  if (inode == nullptr) return -1;
  if (owner != static_cast<uid_t>(-1)) inode->owner = owner;
  if (group != static_cast<gid_t>(-1)) inode->group = group;
  return 0;
}

int MemoryFileSystem::mkdir(const char* path, mode_t) {
  const std::lock_guard<std::mutex> hold(mutex_);
  Place place;
  if (resolve(path, false, &place) != 0) return -1;
  if (place.inode != kNone) return fail(EEXIST);
  add(place, Kind::kDirectory, {});
  return 0;
}

int MemoryFileSystem::rmdir(const char* path) {
  const std::lock_guard<std::mutex> hold(mutex_);
  Place place;
  if (existing(path, false, &place) != 0) return -1;
  if (inodes_[place.inode].kind != Kind::kDirectory) return fail(ENOTDIR);
  if (!inodes_[place.inode].entries.empty()) return fail(ENOTEMPTY);
  if (place.parent == kNone) return fail(EBUSY);
  change(place.parent, {place.name, "", kNone});
  return 0;
}

int MemoryFileSystem::unlink(const char* path) {
  const std::lock_guard<std::mutex> hold(mutex_);
  Place place;
  if (existing(path, false, &place) != 0) return -1;
  if (inodes_[place.inode].kind == Kind::kDirectory) return fail(EISDIR);
  change(place.parent, {place.name, "", kNone});
  return 0;
}

int MemoryFileSystem::rename(const char* from, const char* to) {
  const std::lock_guard<std::mutex> hold(mutex_);
  return rename_to(from, to, true);
}

int MemoryFileSystem::rename_noreplace(const char* from, const char* to) {
  const std::lock_guard<std::mutex> hold(mutex_);
  return rename_to(from, to, false);
}

int MemoryFileSystem::link(const char* from, const char* to) {
  const std::lock_guard<std::mutex> hold(mutex_);
  Place source, target;
  if (existing(from, false, &source) != 0 || resolve(to, false, &target) != 0) return -1;
  if (inodes_[source.inode].kind == Kind::kDirectory) return fail(EPERM);
  if (target.inode != kNone) return fail(EEXIST);
  change(target.parent, {"", target.name, source.inode});
  return 0;
}

int MemoryFileSystem::symlink(const char* target, const char* path) {
  const std::lock_guard<std::mutex> hold(mutex_);
  Place place;
  if (resolve(path, false, &place) != 0) return -1;
  if (place.inode != kNone) return fail(EEXIST);
  add(place, Kind::kLink, target);
  return 0;
}

int MemoryFileSystem::readlink(const char* path, std::string* target) {
  const std::lock_guard<std::mutex> hold(mutex_);
  Place place;
  if (existing(path, false, &place) != 0) return -1;
  if (inodes_[place.inode].kind != Kind::kLink) return fail(EINVAL);
  *target = inodes_[place.inode].content;
  return 0;
}

int MemoryFileSystem::flock(int fd, int operation) {
  const std::lock_guard<std::mutex> hold(mutex_);
  if (open_inode(fd) == nullptr) return -1;
  locks_.erase(fd);
  if ((operation & LOCK_UN) != 0) return 0;
  const int inode = descriptors_[fd];
  const bool exclusive = (operation & LOCK_EX) != 0;
  for (const auto& [holder, held] : locks_) {
    if (held.first == inode && (exclusive || held.second)) return fail(EWOULDBLOCK);
  }
  locks_[fd] = {inode, exclusive};
  return 0;
}

int MemoryFileSystem::list(const char* path, std::vector<std::string>* names) {
  const std::lock_guard<std::mutex> hold(mutex_);
  names->clear();
  Place place;
  if (existing(path, true, &place) != 0) return -1;
  const Inode& inode = inodes_[place.inode];
  if (inode.kind != Kind::kDirectory) return fail(ENOTDIR);
  for (const auto& entry : inode.entries) names->push_back(entry.first);
  return 0;
}

int MemoryFileSystem::free_bytes(const char* path, uint64_t* bytes) {
  const std::lock_guard<std::mutex> hold(mutex_);
  Place place;
  if (existing(path, true, &place) != 0) return -1;
  *bytes = free_bytes_;
  return 0;
}

int MemoryFileSystem::allocate(int fd, off_t bytes) {
  const std::lock_guard<std::mutex> hold(mutex_);
  Inode* inode = open_inode(fd);
  if (inode == nullptr) return -1;
  if (inode->content.size() < static_cast<size_t>(bytes)) {
    inode->content.resize(static_cast<size_t>(bytes));
  }
  return 0;
}

int MemoryFileSystem::truncate(int fd, off_t bytes) {
  const std::lock_guard<std::mutex> hold(mutex_);
  Inode* inode = open_inode(fd);
  if (inode == nullptr) return -1;
  inode->content.resize(static_cast<size_t>(bytes));
  return 0;
}

// As tmpfs, before Linux 6.6.
int MemoryFileSystem::set_direct(int, bool value) { return value ? fail(EINVAL) : 0; }

int MemoryFileSystem::is_cached(int fd, off_t) {
  const std::lock_guard<std::mutex> hold(mutex_);
  return open_inode(fd) != nullptr ? 0 : -1;
}

int MemoryFileSystem::read_ahead(int fd, off_t, off_t) {
  const std::lock_guard<std::mutex> hold(mutex_);
  return open_inode(fd) != nullptr ? 0 : -1;
}

int MemoryFileSystem::drop_cache(int fd) {
  const std::lock_guard<std::mutex> hold(mutex_);
  return open_inode(fd) != nullptr ? 0 : -1;
}

int MemoryFileSystem::resolve(const std::string& path, bool follow_last, Place* place,
                              int links) const {
  if (path.empty()) return fail(ENOENT);
  const std::vector<std::string> parts = parts_of(path);
  std::vector<int> way{kRoot};
  *place = {kNone, "", kRoot};
  for (size_t i = 0; i < parts.size(); ++i) {
    const bool last = i + 1 == parts.size();
    const Inode& here = inodes_[way.back()];
    if (here.kind != Kind::kDirectory) return fail(ENOTDIR);
    if (parts[i].size() > 255) return fail(ENAMETOOLONG);
    if (parts[i] == "." || parts[i] == "..") {
      if (parts[i] == ".." && way.size() > 1) way.pop_back();
      *place = {kNone, "", way.back()};
      continue;
    }
    const auto found = here.entries.find(parts[i]);
    if (found == here.entries.end()) {
      if (!last) return fail(ENOENT);
      *place = {way.back(), parts[i], kNone};
      return 0;
    }
    const Inode& next = inodes_[found->second];
    if (next.kind == Kind::kLink && (!last || follow_last)) {
      if (links == kMaxLinks) return fail(ELOOP);
      // Starts again, with the link's target in the link's place.
      std::string target = next.content;
      if (target.empty() || target[0] != '/') {
        std::string parent;
        for (size_t j = 0; j < i; ++j) parent += '/' + parts[j];
        target = parent + '/' + target;
      }
      for (size_t j = i + 1; j < parts.size(); ++j) target += '/' + parts[j];
      return resolve(target, follow_last, place, links + 1);
    }
    *place = {way.back(), parts[i], found->second};
    way.push_back(found->second);
  }
  const bool wants_directory = path.back() == '/';
  if (wants_directory && inodes_[place->inode].kind != Kind::kDirectory) return fail(ENOTDIR);
  return 0;
}

int MemoryFileSystem::existing(const std::string& path, bool follow_last, Place* place) const {
  if (resolve(path, follow_last, place) != 0) return -1;
  return place->inode != kNone ? 0 : fail(ENOENT);
}

int MemoryFileSystem::add(const Place& place, Kind kind, std::string content) {
  const int inode = static_cast<int>(inodes_.size());
  inodes_.emplace_back();
  inodes_.back().kind = kind;
  inodes_.back().content = std::move(content);
  change(place.parent, {"", place.name, inode});
  return inode;
}

void MemoryFileSystem::change(int directory, const Change& step) {
  Inode& inode = inodes_[directory];
  if (!step.removed.empty()) inode.entries.erase(step.removed);
  if (!step.added.empty()) inode.entries[step.added] = step.inode;
  inode.changes.push_back(step);
  inode.sync_failed = false;  // The block is dirty again, and holds the other entries as well.
}

int MemoryFileSystem::rename_to(const char* from, const char* to, bool replace) {
  Place source, target;
  if (existing(from, false, &source) != 0 || resolve(to, false, &target) != 0) return -1;
  if (source.parent == kNone || (target.inode != kNone && target.parent == kNone)) {
    return fail(EBUSY);
  }
  if (target.inode != kNone) {
    if (!replace) return fail(EEXIST);
    if (target.inode == source.inode) return 0;
    const bool from_directory = inodes_[source.inode].kind == Kind::kDirectory;
    const bool to_directory = inodes_[target.inode].kind == Kind::kDirectory;
    if (from_directory && !to_directory) return fail(ENOTDIR);
    if (!from_directory && to_directory) return fail(EISDIR);
    if (to_directory && !inodes_[target.inode].entries.empty()) return fail(ENOTEMPTY);
  }
  if (source.parent == target.parent) {
    change(source.parent, {source.name, target.name, source.inode});
  } else {
    change(target.parent, {"", target.name, source.inode});
    change(source.parent, {source.name, "", kNone});
  }
  return 0;
}

void MemoryFileSystem::describe(int number, struct stat* info) const {
  const Inode& inode = inodes_[number];
  *info = {};
  info->st_ino = static_cast<ino_t>(number) + 1;
  info->st_nlink = 0;
  for (const Inode& directory : inodes_) {
    for (const auto& entry : directory.entries) info->st_nlink += entry.second == number ? 1 : 0;
  }
  info->st_uid = inode.owner;
  info->st_gid = inode.group;
  info->st_size = static_cast<off_t>(inode.content.size());
  switch (inode.kind) {
    case Kind::kFile:
      info->st_mode = S_IFREG | inode.permissions;
      break;
    case Kind::kDirectory:
      info->st_mode = S_IFDIR | 0755;
      break;
    case Kind::kLink:
      info->st_mode = S_IFLNK | 0777;
      break;
  }
}

MemoryFileSystem::Inode* MemoryFileSystem::open_inode(int fd) {
  const auto found = descriptors_.find(fd);
  if (found == descriptors_.end()) {
    fail(EBADF);
    return nullptr;
  }
  return &inodes_[found->second];
}

}  // namespace test
