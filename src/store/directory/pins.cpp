#include "store/directory/pins.h"

#include "store/directory/retire.h"
#include "store/io/file.h"
#include "store/records/names.h"

#include <cerrno>
#include <vector>

namespace checkpoint::store {
namespace {

std::string pins_of(const Directory& directory) { return directory.path_of(kPinsDirectory); }
std::string pin_path(const Directory& directory, const std::string& name) {
  return join(pins_of(directory), name);
}

void check_name(const Directory& directory, const std::string& name) {
  if (!is_checkpoint_name(name)) throw no_name_error(directory, name);
}

// Returns whether the directory of pins exists. A link at its path is refused: it could lead
// anywhere.
bool has_pins(const Directory& directory) {
  const mode_t mode = status_of(directory.fs(), pins_of(directory)).st_mode;
  if (mode != 0 && !S_ISDIR(mode)) {
    throw Error(ErrorCode::kIo, "cannot store pins: not a directory", pins_of(directory), ENOTDIR,
                "Move it away.");
  }
  return mode != 0;
}

void create_pin(const Directory& directory, const std::string& name) {
  FileSystem& fs = directory.fs();
  directory.require_held();
  if (!has_pins(directory)) create_with_parents(fs, pins_of(directory));
  if (!is_pinned(directory, name)) {
    File file = File::open_or_create(fs, pin_path(directory, name));
    file.sync();
    file.close();
  }
  // Another process may have just made the pin without having synced it.
  sync_directory(fs, pins_of(directory));
}

bool remove_pin(const Directory& directory, const std::string& name) {
  FileSystem& fs = directory.fs();
  directory.require_held();
  if (fs.unlink(pin_path(directory, name).c_str()) != 0) {
    if (errno == ENOENT) return false;
    throw system_failure("remove the pin", pin_path(directory, name), errno);
  }
  sync_directory(fs, pins_of(directory));
  return true;
}

Error not_there(const Directory& directory, const std::string& name) {
  return Error(ErrorCode::kNotFound, "no such checkpoint; it may have just been removed",
               directory.path_of(name), 0, "Use list to see the names.");
}

}  // namespace

void pin(const Directory& directory, const std::string& name) {
  check_name(directory, name);
  if (!directory.find(name) && !put_back(directory, name)) throw not_there(directory, name);
  while (true) {
    create_pin(directory, name);
    // From here on, no removal can be decided. One that has begun is undone here.
    if (directory.find(name) || put_back(directory, name) || directory.find(name)) return;
    remove_pin(directory, name);
    // A new checkpoint may have taken the name, and another process may have pinned it.
    if (!directory.find(name)) throw not_there(directory, name);
  }
}

bool unpin(const Directory& directory, const std::string& name) {
  check_name(directory, name);
  return has_pins(directory) && remove_pin(directory, name);
}

bool is_pinned(const Directory& directory, const std::string& name) {
  return status_of(directory.fs(), pin_path(directory, name)).st_mode != 0;
}

std::set<std::string> read_pins(const Directory& directory) {
  if (!has_pins(directory)) return {};
  std::vector<std::string> names;
  if (directory.fs().list(pins_of(directory).c_str(), &names) != 0) {
    throw reading_failure("list the directory", pins_of(directory), errno);
  }
  return {names.begin(), names.end()};
}

}  // namespace checkpoint::store
