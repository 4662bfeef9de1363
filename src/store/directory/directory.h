#pragma once

#include "store/io/file_system.h"

#include <checkpoint/error.h>
#include <checkpoint/manifest.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace checkpoint::store {

class WriterHold;

/// A checkpoint that a scan has found, by its manifest, or by its marker if the manifest is
/// damaged.
struct FoundCheckpoint {
  std::string name;
  std::string path;
  int64_t sequence = 0;          ///< From the marker if the manifest is damaged. 0 if unknown.
  Manifest manifest;             ///< Empty if `problem` is set.
  std::optional<Error> problem;  ///< Why the manifest cannot be used.
};

/// A directory of checkpoints. Stores only its path and a pointer to the writer's hold: each answer
/// comes from the disk. Cannot be copied or moved. Thread-safe.
class Directory {
 public:
  /// Creates nothing on the disk. `fs` must outlive this. Throws Error(invalid_argument) if `path`
  /// is empty or has a NUL byte.
  Directory(FileSystem& fs, std::string path);

  FileSystem& fs() const { return *fs_; }
  const std::string& path() const { return path_; }
  std::string path_of(const std::string& name) const;

  /// From now on, allows changes only while `hold` confirms that the path still leads to the
  /// directory that it holds. `hold` must outlive this. Must be called before the writer's first
  /// change.
  void write_under(const WriterHold& hold) { hold_ = &hold; }
  /// Throws Error(locked) if this is no longer the directory that the writer holds. Without a hold,
  /// checks nothing. Must be called right before each change, and before the writer relies on what
  /// it has read.
  void require_held() const;
  /// Renames a checkpoint to a hidden name, never over another entry. Returns 0, or -1 with errno.
  /// Throws what `require_held` throws. If another run's directory appears between that check and
  /// the rename, renames that run's checkpoint back, because hidden directories may be removed.
  int move_aside(const std::string& from, const std::string& to) const;

  /// Returns whether the path is a directory.
  bool exists() const;
  /// Creates the directory and its missing parents, and syncs the parent of each. Throws Error:
  /// invalid_argument if the path is a file, not_found if a link in it leads nowhere, io.
  void create() const;
  /// Returns all checkpoints by sequence, oldest first. Those of unknown sequence come last. Skips
  /// foreign files and directories, links, hidden names and checkpoints that were set aside
  /// (unseen.h finds out which of these may be checkpoints). Empty if the directory does not exist.
  /// Throws Error: io if the directory cannot be read, not_found if the path or a parent is a link
  /// that leads nowhere.
  std::vector<FoundCheckpoint> scan() const;
  /// Returns one checkpoint by its name, by the rules of `scan`. Throws Error(io) if it cannot be
  /// checked.
  std::optional<FoundCheckpoint> find(const std::string& name) const;
  /// Returns the names of the checkpoints that were set aside.
  std::vector<std::string> set_aside_names() const;
  /// Returns the highest sequence of what a scan has found, and of the checkpoints that were set
  /// aside. 0 without checkpoints.
  int64_t highest_sequence(const std::vector<FoundCheckpoint>& found) const;
  /// Returns `wanted`, or `wanted` with "-v2", "-v3", … if that name is taken.
  std::string free_name(const std::string& wanted) const;
  /// Renames a damaged checkpoint to NAME.corrupt (-2, …) and returns the new name.
  std::string set_aside(const std::string& name) const;
  /// Makes a link ("latest", "best") point to `name`. The links are for people and shells: this
  /// library never reads them. Never replaces a file or directory of that name.
  void point_link(const std::string& link, const std::string& name) const;
  /// Removes a link if its target does not exist.
  void remove_dangling_link(const std::string& link) const;

 private:
  std::vector<std::string> names() const;
  // Returns false if a checkpoint was removed after its name was listed.
  bool scan_once(std::vector<FoundCheckpoint>& found) const;

  FileSystem* fs_;
  std::string path_;
  std::atomic<const WriterHold*> hold_ = nullptr;
};

/// Puts checkpoints into the order of `Directory::scan`.
void sort_by_sequence(std::vector<FoundCheckpoint>& found);
/// Returns Error(invalid_argument): `name` can never be the name of a checkpoint.
Error no_name_error(const Directory& directory, const std::string& name);
/// Throws Error(not_found) if the path or a parent is a link that leads nowhere. A disk may not be
/// mounted, so we do not know what is there.
void refuse_dangling(FileSystem& fs, const std::string& path);

}  // namespace checkpoint::store
