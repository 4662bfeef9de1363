#include "store/directory/remove.h"

#include "base/log.h"
#include "store/directory/history.h"
#include "store/directory/pins.h"
#include "store/directory/retire.h"
#include "store/io/file.h"
#include "store/records/marker.h"
#include "store/records/names.h"

#include <vector>

namespace checkpoint::store {
namespace {

Error is_pinned_error(const std::string& path) {
  return Error(ErrorCode::kInvalidArgument, "not removed: this checkpoint is pinned", path, 0,
               "Unpin it first.");
}

// Throws unless `name` is a checkpoint, or was one, that may be removed.
void check(const Directory& directory, const std::string& name) {
  const std::string path = directory.path_of(name);
  if (!is_checkpoint_name(name) && !is_set_aside(name)) throw no_name_error(directory, name);
  if (!S_ISDIR(status_of(directory.fs(), path).st_mode)) {
    throw Error(ErrorCode::kNotFound, "no such checkpoint", path, 0, "Use list to see the names.");
  }
  if (is_pinned(directory, name)) throw is_pinned_error(path);
  const std::string obstacle = obstacle_to_retiring(directory, name);
  if (!obstacle.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "not removed: " + obstacle, path, 0,
                "Remove the directory by hand if you need nothing in it.");
  }
}

// Returns the name of the newest checkpoint whose manifest can be read. Empty if none can.
std::string newest_of(const std::vector<FoundCheckpoint>& found) {
  std::string newest;
  for (const FoundCheckpoint& checkpoint : found) {
    if (!checkpoint.problem) newest = checkpoint.name;
  }
  return newest;
}

}  // namespace

int64_t remove_checkpoint(const Directory& directory, const std::string& name) {
  check(directory, name);
  const int64_t sequence = marked_sequence(directory.fs(), directory.path_of(name));
  if (!retire(directory, name)) throw is_pinned_error(directory.path_of(name));
  base::log_info("removed checkpoint '" + directory.path_of(name) + "': on request");
  const std::vector<FoundCheckpoint> found = directory.scan();
  append_removal(directory, {name, sequence, found.empty()});
  const std::string newest = newest_of(found);
  if (!newest.empty()) directory.point_link(kLatestLink, newest);
  directory.remove_dangling_link(kLatestLink);
  directory.remove_dangling_link(kBestLink);
  return sequence;
}

}  // namespace checkpoint::store
