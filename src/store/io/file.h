#pragma once

#include "store/io/byte_source.h"
#include "store/io/file_system.h"

#include <checkpoint/error.h>

#include <string>
#include <vector>

namespace checkpoint::store {

/// The error for a failed call: no_space for a full disk, quota or size limit, not_found for a
/// missing file, io for the rest. `doing` completes "cannot …".
Error system_failure(const std::string& doing, const std::string& path, int error_number);
/// The same for a call that only reads: what it lacks is not the right to write.
Error reading_failure(const std::string& doing, const std::string& path, int error_number);

/// What direct writes are aligned to: a page, and more than the sectors of any disk.
constexpr size_t kDirectAlignment = 4096;

/// What becomes of a symbolic link at a file's place.
enum class Links {
  kRefused,   ///< A checkpoint has no links in it.
  kFollowed,  ///< Where the user has named the file.
};

/// An open file or directory; closed by the destructor. Movable. Reading is thread-safe.
class File final : public ByteSource {
 public:
  /// Opens a file for reading.
  static File open(FileSystem& fs, const std::string& path, Links links = Links::kRefused);
  /// Creates a file that must not exist. The umask is taken off the mode.
  static File create(FileSystem& fs, const std::string& path, mode_t mode = 0666);
  /// Opens a directory, to sync it.
  static File open_directory(FileSystem& fs, const std::string& path);
  /// Opens a file for reading and writing, or creates it; a symbolic link at its place is refused.
  static File open_or_create(FileSystem& fs, const std::string& path);

  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File() override;

  const std::string& name() const override { return path_; }
  uint64_t size() const override;
  void read_at(uint64_t offset, void* to, size_t count) const override;
  void will_read(uint64_t offset, uint64_t count) const override;
  void write_at(uint64_t offset, const void* from, size_t count);
  /// Reserves room for the first `bytes` bytes where the file system can, and makes the file that
  /// long. Throws Error(no_space) if the disk has no such room; other failures are left to the
  /// writes.
  void allocate(uint64_t bytes);
  /// Ends the file behind its first `bytes` bytes, and gives back what was reserved beyond.
  void truncate(uint64_t bytes);
  /// Whether writes go past the page cache; returns whether the file system does so.
  /// Then memory, offsets and sizes must be multiples of kDirectAlignment.
  bool set_direct(bool value);
  /// fsync. A failure must never be followed by another try: the kernel forgets it.
  void sync();
  /// Closes, and reports what close reports (a network file system may only then say "disk full").
  void close();
  /// Asks that the next reads come from the disk.
  void drop_cache() const;
  /// Whether this file, and no other, stands at `path`; links are not followed. Throws Error(io).
  bool is_at(const std::string& path) const;
  int fd() const { return fd_; }
  /// Lets go of the descriptor without closing it.
  void release() { fd_ = -1; }

 private:
  File(FileSystem& fs, std::string path, int fd);
  struct stat status() const;

  FileSystem* fs_;
  std::string path_;
  int fd_;
};

/// Puts the parts of a path together.
std::string join(const std::string& directory, const std::string& name);
/// The directory that a path stands in: "." where it names none.
std::string parent_of(const std::string& path);
/// fsync of a directory: its entries, not their contents.
void sync_directory(FileSystem& fs, const std::string& path);
/// Creates a directory and its missing parents, and syncs the parent of each. Throws Error(io).
void create_with_parents(FileSystem& fs, const std::string& path);
/// The whole of a small file. Throws Error(corrupt) if it is larger than `limit`.
std::string read_whole(FileSystem& fs, const std::string& path, uint64_t limit);
/// What stands at `path` itself, links not followed; st_mode 0 if nothing does.
struct stat status_of(FileSystem& fs, const std::string& path);
/// The names in a directory; empty if no such directory. Throws Error(io).
std::vector<std::string> list_directory(FileSystem& fs, const std::string& path);
/// Whether `path` is a directory, or a link to one.
bool is_directory(FileSystem& fs, const std::string& path);

}  // namespace checkpoint::store
