#pragma once

#include "store/io/byte_source.h"
#include "store/io/file_system.h"

#include <checkpoint/error.h>

#include <memory>
#include <string>
#include <vector>

namespace checkpoint::store {

/// Returns the error for a failed call: no_space for a full disk, quota or size limit, not_found
/// for a missing file, io for the rest. `doing` completes "cannot …".
Error system_failure(const std::string& doing, const std::string& path, int error_number);
/// The same for a call that only reads: its hint asks for the right to read, not to write.
Error reading_failure(const std::string& doing, const std::string& path, int error_number);

/// The alignment of direct reads and writes, in bytes: a page, and at least a sector of any disk.
constexpr size_t kDirectAlignment = 4096;

/// Whether opening a file follows a symbolic link at its path.
enum class Links {
  kRefused,   ///< For the files of a checkpoint, which are never links.
  kFollowed,  ///< For a file that the user has named.
};

/// An open file or directory. The destructor closes it. Movable. Reading is thread-safe.
class File final : public ByteSource {
 public:
  /// Opens a file for reading.
  static File open(FileSystem& fs, const std::string& path, Links links = Links::kRefused);
  /// Creates a file that must not exist. The umask is subtracted from the mode.
  static File create(FileSystem& fs, const std::string& path, mode_t mode = 0666);
  /// Opens a directory, to sync it.
  static File open_directory(FileSystem& fs, const std::string& path);
  /// Opens a file for reading and writing, or creates it. Refuses a symbolic link at its path.
  static File open_or_create(FileSystem& fs, const std::string& path);

  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File() override;

  const std::string& name() const override { return path_; }
  uint64_t size() const override;
  void read_at(uint64_t offset, void* to, size_t count) const override;
  void will_read(uint64_t offset, uint64_t count) const override;
  bool is_cached(uint64_t offset) const override;
  std::unique_ptr<ByteSource> past_cache() const override;
  void write_at(uint64_t offset, const void* from, size_t count);
  /// Reserves room for the first `bytes` bytes if the file system can, and makes the file that
  /// long. Throws Error(no_space) if the disk is too full. Ignores other failures: the writes
  /// report them.
  void allocate(uint64_t bytes);
  /// Cuts the file after its first `bytes` bytes and frees the reserved room after them.
  void truncate(uint64_t bytes);
  /// Switches direct writes, which bypass the page cache, on or off. Returns false if the file
  /// system cannot do that. With direct writes, memory addresses, offsets and sizes must be
  /// multiples of kDirectAlignment.
  bool set_direct(bool value);
  /// Calls fsync. Never repeat it after a failure: the kernel reports each failure only once.
  void sync();
  /// Closes the file and throws if close fails: a network file system may report a full disk only
  /// then.
  void close();
  /// Asks the system to read this file from the disk next time, not from its cache.
  void drop_cache() const;
  /// Returns whether `path` is this very file. Links are not followed. Throws Error(io).
  bool is_at(const std::string& path) const;
  /// Returns the file's status. Throws Error(io).
  struct stat status() const;
  int fd() const { return fd_; }
  /// Forgets the descriptor without closing it.
  void release() { fd_ = -1; }

 private:
  File(FileSystem& fs, std::string path, int fd);

  FileSystem* fs_;
  std::string path_;
  int fd_;
};

/// Joins the parts of a path.
std::string join(const std::string& directory, const std::string& name);
/// Returns the directory part of a path: "." if the path has no slash.
std::string parent_of(const std::string& path);
/// Syncs a directory: its entries, not the contents of its files.
void sync_directory(FileSystem& fs, const std::string& path);
/// Creates a directory and its missing parents, and syncs the parent of each. Throws Error(io).
void create_with_parents(FileSystem& fs, const std::string& path);
/// Returns the content of a small file. Throws Error: corrupt if it is larger than `limit` bytes.
std::string read_whole(FileSystem& fs, const std::string& path, uint64_t limit);
/// Returns the status of `path` itself, without following links. st_mode is 0 if nothing exists
/// there. Throws Error(io).
struct stat status_of(FileSystem& fs, const std::string& path);
/// Returns the names in a directory. Empty if the directory does not exist. Throws Error(io).
std::vector<std::string> list_directory(FileSystem& fs, const std::string& path);
/// Returns whether `path` is a directory, or a link to one. Throws Error(io).
bool is_directory(FileSystem& fs, const std::string& path);

}  // namespace checkpoint::store
