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

/// A checkpoint as a scan finds it, by its manifest or, where that is damaged, by its marker.
struct FoundCheckpoint {
  std::string name;
  std::string path;
  int64_t sequence = 0;          ///< The marker's where the manifest is damaged; 0 if unknown.
  Manifest manifest;             ///< Empty if there is a problem.
  std::optional<Error> problem;  ///< Why the manifest cannot be used.
};

/// A directory of checkpoints. Holds no state but its path, and a writer's hold on it: every
/// question is answered from the disk. Neither copied nor moved. Thread-safe.
class Directory {
 public:
  /// Creates nothing. `fs` must outlive this.
  Directory(FileSystem& fs, std::string path);

  FileSystem& fs() const { return *fs_; }
  const std::string& path() const { return path_; }
  std::string path_of(const std::string& name) const;

  /// From now on, whatever is changed is changed only while `hold` says that the path leads to what
  /// it holds. It must outlive this. Comes before the writer's first change.
  void write_under(const WriterHold& hold) { hold_ = &hold; }
  /// To be called right before each change, and before what is read is taken for the run's own.
  /// Throws Error(locked) if this is no longer the directory that the writer holds; without a hold,
  /// nothing is asked.
  void require_held() const;
  /// Renames a checkpoint to what hides it, never over another entry. Returns 0, or -1 with errno.
  /// Throws what `require_held` throws. If another run's directory comes between that check and the
  /// rename, that run's checkpoint is put back: what is hidden may be removed.
  int move_aside(const std::string& from, const std::string& to) const;

  /// Whether there is a directory at the path.
  bool exists() const;
  /// Creates the directory and its missing parents, and syncs the parent of each.
  void create() const;
  /// All checkpoints, by sequence, oldest first; ones of unknown sequence last. Foreign files and
  /// directories, links, hidden names and what was set aside are passed by (unseen.h tells which of
  /// these may be checkpoints). Empty if the directory is not there. Throws Error(io) if it cannot
  /// be read, Error(not_found) if a link leads nowhere in its place or above it.
  std::vector<FoundCheckpoint> scan() const;
  /// One checkpoint by its name, by the rules of `scan`. Throws Error(io) if it cannot be looked
  /// at.
  std::optional<FoundCheckpoint> find(const std::string& name) const;
  /// The names of what was set aside as damaged.
  std::vector<std::string> set_aside_names() const;
  /// The highest sequence of all checkpoints, also set-aside ones. 0 without checkpoints.
  int64_t highest_sequence() const;
  /// `wanted`, or `wanted` with "-v2", "-v3", … if something of that name is there.
  std::string free_name(const std::string& wanted) const;
  /// Renames a damaged checkpoint to NAME.corrupt (-2, …) and returns the new name.
  std::string set_aside(const std::string& name) const;
  /// Makes a link ("latest", "best") point to `name`: for people and shells, never read by this
  /// library. Somebody's own file or directory in its place is left alone.
  void point_link(const std::string& link, const std::string& name) const;
  /// Removes a link that points to nothing.
  void remove_dangling_link(const std::string& link) const;

 private:
  std::vector<std::string> names() const;
  // Returns false if something that was listed was gone when it was looked at.
  bool scan_once(std::vector<FoundCheckpoint>& found) const;

  FileSystem* fs_;
  std::string path_;
  std::atomic<const WriterHold*> hold_ = nullptr;
};

/// The highest sequence of what a scan has found. 0 if it found none.
int64_t highest_sequence(const std::vector<FoundCheckpoint>& found);
/// Error(invalid_argument): this can never be the name of a checkpoint.
Error no_name_error(const Directory& directory, const std::string& name);
/// Throws Error(not_found) if a link that leads nowhere is at the path or above it: a disk may not
/// be mounted, so what is there is unknown.
void refuse_dangling(FileSystem& fs, const std::string& path);

}  // namespace checkpoint::store
