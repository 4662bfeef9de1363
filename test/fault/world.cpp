#include "fault/world.h"

#include "manager/manager_access.h"

#include <algorithm>
#include <sstream>
#include <stdexcept>

namespace test {
namespace {

using checkpoint::CheckpointInfo;
using checkpoint::CheckpointManager;
using checkpoint::CheckpointManagerOptions;
using checkpoint::Error;
using checkpoint::internal::ManagerAccess;

constexpr int64_t kNext = 100;  // What the save after the fault holds.

[[noreturn]] void wrong(const std::string& what) { throw std::logic_error(what); }

std::string text_of(std::optional<int64_t> value) {
  return value ? "e" + std::to_string(*value) : "none";
}

// What a new process resumes with.
std::optional<int64_t> resume(checkpoint::store::FileSystem& fs,
                              const CheckpointManagerOptions& options) {
  Live live;
  CheckpointManager manager = ManagerAccess::open(fs, kRuns, options);
  if (!manager.restore_latest(live.state)) return std::nullopt;
  if (!live.all()) wrong("the state that was restored is a mixture");
  return live.value;
}

// Everything that is listed is whole, or was damaged from the start.
void check_listed(CheckpointManager& manager, const Scenario& scenario) {
  std::set<int64_t> whole;
  for (const CheckpointInfo& info : manager.list()) {
    if (scenario.damaged.count(info.name) != 0) continue;
    if (!info.damage.empty()) wrong("half-made " + info.name + " is listed: " + info.damage);
    manager.verify(info.name);
    Live live;
    manager.restore(live.state, info.name);
    if (!live.all() || live.value != info.manifest.progress.epoch) {
      wrong(info.name + " restores something else");
    }
    whole.insert(live.value);
  }
  for (const int64_t value : scenario.always) {
    if (whole.count(value) == 0) wrong("e" + std::to_string(value) + " is gone");
  }
}

void check_resumes(MemoryFileSystem& memory, const Scenario& scenario, bool succeeded) {
  const std::optional<int64_t> value = resume(memory, scenario.options);
  if (value == scenario.newest_after) return;
  const bool between = value && scenario.between.count(*value) != 0;
  if (succeeded || (value != scenario.newest_before && !between)) {
    wrong("resumed with " + text_of(value) + ", before the fault stood " +
          text_of(scenario.newest_before) + ", to come was " + text_of(scenario.newest_after) +
          (succeeded ? ", which was reported to be saved" : ""));
  }
}

void check_refused(MemoryFileSystem& memory, const Scenario& scenario) {
  try {
    resume(memory, scenario.options);
  } catch (const Error&) {
    return;
  }
  wrong("a start from scratch beside a checkpoint that is not listed");
}

void check_next_save(MemoryFileSystem& memory, const Scenario& scenario, bool succeeded) {
  {
    Live live(kNext);
    ManagerAccess::open(memory, kRuns, scenario.options).save(live.state, {kNext});
  }
  if (resume(memory, scenario.options) != kNext) wrong("the next save does not come back");
  const std::vector<std::string> left = memory.names(kRuns);
  const auto is_left = [&](int64_t value) {
    return std::find(left.begin(), left.end(), "e" + std::to_string(value)) != left.end();
  };
  for (const int64_t value : succeeded ? scenario.pinned : std::set<int64_t>()) {
    if (!is_left(value))
      wrong("the next save removes e" + std::to_string(value) + ", which is pinned");
  }
  for (const int64_t value : succeeded ? scenario.gone : std::set<int64_t>()) {
    if (is_left(value)) wrong("the next save keeps e" + std::to_string(value));
  }
  for (const std::string& name : left) {
    const bool ours = name == ".lock" || name == ".pins";
    if (name[0] == '.' && !ours) wrong("the next save leaves " + name + " behind");
  }
}

}  // namespace

std::string fault_found(MemoryFileSystem& memory, const Scenario& scenario, bool succeeded) {
  try {
    if (scenario.unseen) {
      check_refused(memory, scenario);
      return {};
    }
    {
      CheckpointManager manager = ManagerAccess::open(memory, kRuns, scenario.options);
      check_listed(manager, scenario);
    }
    check_resumes(memory, scenario, succeeded);
    check_next_save(memory, scenario, succeeded);
  } catch (const std::exception& error) {
    std::ostringstream text;
    text << error.what() << "; there are:";
    for (const std::string& name : memory.names(kRuns)) text << ' ' << name;
    return text.str();
  }
  return {};
}

}  // namespace test
