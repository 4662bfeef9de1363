#pragma once

#include "store/io/file_system.h"

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace test {

/// What a machine's crash does to the bytes of a file that were not synced.
enum class DataFate {
  kLost,       ///< The file is what it was when it was last synced; empty if it never was.
  kKept,       ///< All reached the disk.
  kTruncated,  ///< Half of them did.
  kGarbage,    ///< The length did, the bytes are others.
};

/// What it does to the changes of a directory that were not synced: files created, renamed,
/// removed.
enum class EntryFate {
  kLost,  ///< None of them happened.
  kKept,  ///< All did.
  kSome,  ///< Each did or did not, by a coin (`seed`).
};

/// A file system in memory that remembers what a disk would still hold if the machine stopped now:
/// of each file its bytes as of its last fsync, of each directory its entries as of its last fsync.
/// Behaves as Linux does for the calls that the seam makes. Paths are resolved from its own root;
/// root's permissions. A copy has the files, but not the open descriptors and locks, as after the
/// death of the process that had them. Thread-safe, except copying and crashing.
class MemoryFileSystem : public checkpoint::store::FileSystem {
 public:
  MemoryFileSystem();
  MemoryFileSystem(const MemoryFileSystem& other);
  MemoryFileSystem& operator=(const MemoryFileSystem& other);

  /// The machine stops and starts again. `seed` draws garbage and coins.
  void crash(DataFate data, EntryFate entries, uint32_t seed = 0);
  /// Behaves as after a failed fsync: the unsynced data never reaches the disk, and later fsyncs
  /// still succeed. For a directory, until its entries change again.
  void fail_sync(int fd);
  /// What `free_bytes` answers. At first 1 TiB.
  void set_free_bytes(uint64_t bytes) { free_bytes_ = bytes; }

  /// Puts a file there with its parents, all of it synced.
  void put(const std::string& path, const std::string& content);
  /// Returns the bytes of a file. Throws std::out_of_range if it does not exist.
  std::string content(const std::string& path);
  /// The names in a directory, sorted; empty if it is not there.
  std::vector<std::string> names(const std::string& path);
  /// All that can be read of it: names, kinds, bytes, owners, permissions, and which names are one
  /// file. Two file systems of the same text are the same to a process that starts now.
  std::string text() const;

  int open(const char* path, int flags, mode_t mode) override;
  int close(int fd) override;
  ssize_t pread(int fd, void* to, size_t count, off_t offset) override;
  ssize_t pwrite(int fd, const void* from, size_t count, off_t offset) override;
  int fsync(int fd) override;
  int fstat(int fd, struct stat* info) override;
  int lstat(const char* path, struct stat* info) override;
  int stat(const char* path, struct stat* info) override;
  int eaccess(const char* path, int mode) override;
  int fchmod(int fd, mode_t mode) override;
  int fchown(int fd, uid_t owner, gid_t group) override;
  int mkdir(const char* path, mode_t mode) override;
  int rmdir(const char* path) override;
  int unlink(const char* path) override;
  int rename(const char* from, const char* to) override;
  int rename_noreplace(const char* from, const char* to) override;
  int link(const char* from, const char* to) override;
  int symlink(const char* target, const char* path) override;
  int readlink(const char* path, std::string* target) override;
  int flock(int fd, int operation) override;
  int list(const char* path, std::vector<std::string>* names) override;
  int free_bytes(const char* path, uint64_t* bytes) override;
  int allocate(int fd, off_t bytes) override;
  int truncate(int fd, off_t bytes) override;
  int set_direct(int fd, bool value) override;
  int is_cached(int fd, off_t offset) override;
  int read_ahead(int fd, off_t offset, off_t count) override;
  int drop_cache(int fd) override;

 private:
  static constexpr int kNone = -1;

  enum class Kind { kFile, kDirectory, kLink };
  using Entries = std::map<std::string, int>;  // Name to the number of an inode.
  // One step of a directory: a name that goes, a name that comes, or both at once (a rename).
  struct Change {
    std::string removed;
    std::string added;
    int inode = kNone;
  };
  struct Inode {
    Kind kind = Kind::kFile;
    mode_t permissions = 0644;  // Of a file. These three count as synced at once.
    uid_t owner = 0;
    gid_t group = 0;
    std::string content;  // A link's target.
    std::string synced;
    bool sync_failed = false;
    Entries entries;
    Entries synced_entries;
    std::vector<Change> changes;  // Since synced_entries.
  };
  struct Place {
    int parent = kNone;  // The directory that holds, or would hold, the last name.
    std::string name;
    int inode = kNone;  // kNone: the name is free.
  };

  // -1 and errno if an entry on the way is missing or not a directory.
  int resolve(const std::string& path, bool follow_last, Place* place, int links = 0) const;
  int existing(const std::string& path, bool follow_last, Place* place) const;
  int add(const Place& place, Kind kind, std::string content);
  void change(int directory, const Change& step);
  int rename_to(const char* from, const char* to, bool replace);
  void describe(int inode, struct stat* info) const;
  void describe_below(int directory, const std::string& path, std::map<int, size_t>* files,
                      std::string* text) const;
  Inode* open_inode(int fd);

  mutable std::mutex mutex_;
  std::vector<Inode> inodes_;  // Never erased: a removed file may still be open, or come back.
  std::map<int, int> descriptors_;
  std::map<int, std::pair<int, bool>> locks_;  // By descriptor: the inode, and whether exclusive.
  int next_descriptor_ = 1000000;              // None that the process may have open itself.
  uint64_t free_bytes_ = uint64_t{1} << 40;
};

}  // namespace test
