// Where the figures come from: proc(5), and admin-guide/cgroup-v2 and cgroup-v1/memory of the Linux
// documentation.

#include "base/available_memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>

namespace checkpoint::base {
namespace {

constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();

// Returns the number behind `name` in a file of lines "name number". None if it is not there.
std::optional<uint64_t> field(const std::string& path, const std::string& name) {
  std::ifstream file(path);
  std::string word;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    uint64_t number = 0;
    if (words >> word && word == name && words >> number) return number;
  }
  return std::nullopt;
}

// Returns the number in a file. None if the file does not exist, or says "max".
std::optional<uint64_t> number_in(const std::string& path) {
  uint64_t number = 0;
  if (std::ifstream(path) >> number) return number;
  return std::nullopt;
}

// The names that a version of control groups has for the same.
struct GroupFiles {
  const char* mount;
  const char* limit;
  const char* usage;
  const char* droppable;  // Of memory.stat: what the system drops first from the page cache.
};
constexpr GroupFiles kVersion1 = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes",
                                  "memory.usage_in_bytes", "total_inactive_file"};
constexpr GroupFiles kVersion2 = {"/sys/fs/cgroup", "memory.max", "memory.current",
                                  "inactive_file"};

uint64_t room_in_group(const std::string& folder, const GroupFiles& files) {
  const auto limit = number_in(folder + '/' + files.limit);
  const auto usage = number_in(folder + '/' + files.usage);
  if (!limit || !usage) return kNoLimit;
  const uint64_t droppable = field(folder + "/memory.stat", files.droppable).value_or(0);
  const uint64_t used = *usage - std::min(*usage, droppable);
  return *limit - std::min(*limit, used);
}

// Each group above has a limit of its own. In a container the path may be that of the host, and
// only the last folder, that of the mount itself, is there.
uint64_t room_in_groups(const std::string& root, std::string path, const GroupFiles& files) {
  uint64_t room = kNoLimit;
  while (true) {
    room = std::min(room, room_in_group(root + files.mount + path, files));
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos) return room;
    path.resize(slash);
  }
}

// The lines of /proc/self/cgroup are "number:controllers:path". Version 2 has no controllers there.
uint64_t room_in_groups(const std::string& root) {
  uint64_t room = kNoLimit;
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = ',' + line.substr(first + 1, second - first - 1) + ',';
    const std::string path = line.substr(second + 1);
    if (controllers == ",,") {
      room = std::min(room, room_in_groups(root, path, kVersion2));
    } else if (controllers.find(",memory,") != std::string::npos) {
      room = std::min(room, room_in_groups(root, path, kVersion1));
    }
  }
  return room;
}

}  // namespace

uint64_t available_memory(const std::string& root) {
  const uint64_t kibibytes = field(root + "/proc/meminfo", "MemAvailable:").value_or(0);
  return std::min(kibibytes * 1024, room_in_groups(root));
}

}  // namespace checkpoint::base
