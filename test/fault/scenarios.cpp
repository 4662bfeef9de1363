#include "fault/world.h"

#include "manager/manager_access.h"

#include <initializer_list>
#include <stdexcept>
#include <vector>

namespace test {
namespace {

using checkpoint::CheckpointManager;
using checkpoint::CheckpointManagerOptions;
using checkpoint::Error;
using checkpoint::internal::ManagerAccess;
using checkpoint::store::FileSystem;

CheckpointManagerOptions options() { return CheckpointManagerOptions().name("e{epoch}"); }

// Saves these values, one checkpoint each, and all of it is on the disk.
std::function<void(MemoryFileSystem&)> filled(std::initializer_list<int64_t> values) {
  return [values = std::vector<int64_t>(values)](MemoryFileSystem& memory) {
    CheckpointManager manager = ManagerAccess::open(memory, kRuns, options());
    for (const int64_t value : values) {
      Live live(value);
      manager.save(live.state, {value, 0, 1.0 * value});
    }
    memory.crash(DataFate::kKept, EntryFate::kKept);
  };
}

void flip(MemoryFileSystem& memory, const std::string& file) {
  std::string content = memory.content(path_of(file));
  content[content.size() / 2] = static_cast<char>(content[content.size() / 2] ^ 1);
  memory.put(path_of(file), content);
}

void save(FileSystem& fs, const CheckpointManagerOptions& options, int64_t value) {
  Live live(value);
  ManagerAccess::open(fs, kRuns, options).save(live.state, {value, 0, 1.0 * value});
}

// Whatever happens, the live objects hold one whole checkpoint, or what they held before.
void check_live(const Live& live, bool restored) {
  if (!live.all() || (live.value == Live::kUntouched) == restored) {
    throw std::logic_error("the live objects hold " + std::to_string(live.value) +
                           (restored ? " after a restore" : " after a restore that failed"));
  }
}

// After a restore that failed. Reading may fail when part of the state is already written: then the
// error must say so.
void check_live(const Live& live, const Error& error) {
  const bool said = std::string(error.what()).find("it must not be used") != std::string::npos;
  if (!said) check_live(live, false);
}

void restore_latest(FileSystem& fs, const CheckpointManagerOptions& options) {
  Live live;
  CheckpointManager manager = ManagerAccess::open(fs, kRuns, options);
  try {
    const bool restored = manager.restore_latest(live.state).has_value();
    check_live(live, restored);
  } catch (const Error& error) {
    check_live(live, error);
    throw;
  }
}

std::vector<Scenario> savings() {
  std::vector<Scenario> result;
  const auto saving = [](int64_t value) {
    return
        [value](FileSystem& fs, const CheckpointManagerOptions& given) { save(fs, given, value); };
  };
  Scenario first{"the first save, into a directory that is not there", options()};
  first.prepare = [](MemoryFileSystem&) {};
  first.act = saving(1);
  first.newest_after = 1;
  result.push_back(first);

  Scenario second{"a save", options()};
  second.prepare = filled({1, 2});
  second.act = saving(3);
  second.newest_before = 2;
  second.newest_after = 3;
  second.always = {1, 2};
  result.push_back(second);

  Scenario retaining{"a save with retention", options().keep_last(1)};
  retaining.prepare = filled({1, 2});
  retaining.act = saving(3);
  retaining.newest_before = 2;
  retaining.newest_after = 3;
  result.push_back(retaining);

  Scenario behind{"an asynchronous save with retention", options().keep_last(1).async(true)};
  behind.prepare = filled({1, 2});
  behind.act = [](FileSystem& fs, const CheckpointManagerOptions& given) {
    Live live(3);
    CheckpointManager manager = ManagerAccess::open(fs, kRuns, given);
    manager.save(live.state, {3});
    live.value = Live::kUntouched;  // Training continues; the save must not see that.
    live.tensor.fill_(live.value);
    manager.wait();
  };
  behind.newest_before = 2;
  behind.newest_after = 3;
  result.push_back(behind);

  Scenario sweeping{"a save that finds what a dead writer left", options().keep_last(2)};
  sweeping.prepare = [](MemoryFileSystem& memory) {
    filled({1, 2, 3, 4})(memory);
    memory.rename(path_of("e1").c_str(), path_of(".retired-0123456789abcdef").c_str());
    memory.unlink(path_of(".retired-0123456789abcdef/manifest.json").c_str());
    memory.rename(path_of("e2").c_str(), path_of(".staging-0123456789abcdef").c_str());
    memory.mkdir(path_of(".staging-fedcba9876543210").c_str(), 0777);
    memory.crash(DataFate::kKept, EntryFate::kKept);
  };
  sweeping.act = saving(5);
  sweeping.newest_before = 4;
  sweeping.newest_after = 5;
  sweeping.always = {4};
  result.push_back(sweeping);

  Scenario loop{"a training: resumed, then saved twice", options().keep_last(1)};
  loop.prepare = filled({1});
  loop.act = [](FileSystem& fs, const CheckpointManagerOptions& given) {
    Live live;
    CheckpointManager manager = ManagerAccess::open(fs, kRuns, given);
    manager.restore_latest(live.state);
    check_live(live, true);
    for (const int64_t value : {2, 3}) {
      live.value = value;
      live.tensor.fill_(value);
      manager.save(live.state, {value});
    }
  };
  loop.newest_before = 1;
  loop.newest_after = 3;
  loop.between = {2};
  result.push_back(loop);
  return result;
}

// Saves that link what has not changed, and remove what it came from.
std::vector<Scenario> sharings() {
  std::vector<Scenario> result;
  Scenario loop{"a training that shares what is unchanged: resumed, then saved three times",
                options().reuse_unchanged(true).keep_last(1)};
  loop.prepare = filled({1});
  loop.act = [](FileSystem& fs, const CheckpointManagerOptions& given) {
    Live live;
    CheckpointManager manager = ManagerAccess::open(fs, kRuns, given);
    manager.restore_latest(live.state);
    check_live(live, true);
    for (const int64_t value : {2, 3, 4}) {
      live.value = value;
      live.tensor.fill_(value);
      manager.save(live.state, {value});
    }
  };
  loop.newest_before = 1;
  loop.newest_after = 4;
  loop.between = {2, 3};
  result.push_back(loop);

  Scenario behind{"an asynchronous save that shares what is unchanged",
                  options().reuse_unchanged(true).async(true).format(checkpoint::Format::kPth)};
  behind.prepare = filled({1});
  behind.act = [](FileSystem& fs, const CheckpointManagerOptions& given) {
    Live live(2);
    CheckpointManager manager = ManagerAccess::open(fs, kRuns, given);
    manager.save(live.state, {2});
    manager.wait();
    live.value = 3;
    live.tensor.fill_(3);
    manager.save(live.state, {3});
    live.tensor.fill_(-1);
    live.frozen.fill_(-1);
    manager.wait();
  };
  behind.newest_before = 1;
  behind.newest_after = 3;
  behind.between = {2};
  behind.always = {1};
  result.push_back(behind);

  // What these scenarios leave behind.
  const auto shared = [](MemoryFileSystem& memory) {
    CheckpointManager manager = ManagerAccess::open(memory, kRuns, options().reuse_unchanged(true));
    for (const int64_t value : {1, 2, 3}) {
      Live live(value);
      manager.save(live.state, {value, 0, 1.0 * value});
    }
    memory.crash(DataFate::kKept, EntryFate::kKept);
  };
  Scenario pruning{"a save without the option that removes some that share",
                   options().keep_last(2)};
  pruning.prepare = shared;
  pruning.act = [](FileSystem& fs, const CheckpointManagerOptions& given) { save(fs, given, 4); };
  pruning.newest_before = 3;
  pruning.newest_after = 4;
  pruning.always = {3};
  result.push_back(pruning);

  Scenario latest{"a restore of the latest, which shares", options()};
  latest.prepare = shared;
  latest.act = restore_latest;
  latest.newest_before = latest.newest_after = 3;
  latest.always = {1, 2, 3};
  result.push_back(latest);
  return result;
}

std::vector<Scenario> keepings() {
  std::vector<Scenario> result;
  const auto open = [](FileSystem& fs, const CheckpointManagerOptions& given) {
    return ManagerAccess::open(fs, kRuns, given);
  };
  Scenario pinning{"a pin", options().keep_last(1)};
  pinning.prepare = filled({1, 2, 3});
  pinning.act = [=](FileSystem& fs, const CheckpointManagerOptions& given) {
    open(fs, given).pin("e1");
  };
  pinning.newest_before = pinning.newest_after = 3;
  pinning.always = {1, 2, 3};
  pinning.pinned = {1};
  pinning.gone = {2, 3};
  result.push_back(pinning);

  Scenario unpinning = pinning;
  unpinning.name = "an unpin";
  unpinning.prepare = [=](MemoryFileSystem& memory) {
    filled({1, 2, 3})(memory);
    open(memory, options()).pin("e1");
    memory.crash(DataFate::kKept, EntryFate::kKept);
  };
  unpinning.act = [=](FileSystem& fs, const CheckpointManagerOptions& given) {
    open(fs, given).unpin("e1");
  };
  unpinning.pinned = {};
  unpinning.gone = {1, 2, 3};
  result.push_back(unpinning);

  Scenario pruning{"a prune beside a pin", options().keep_last(1)};
  pruning.prepare = unpinning.prepare;
  pruning.act = [=](FileSystem& fs, const CheckpointManagerOptions& given) {
    open(fs, given).prune(checkpoint::DryRun::kNo);
  };
  pruning.newest_before = pruning.newest_after = 3;
  pruning.always = {1, 3};
  pruning.pinned = {1};
  pruning.gone = {2, 3};
  result.push_back(pruning);

  Scenario removing{"a removal of the newest by its name", options()};
  removing.prepare = filled({1, 2, 3});
  removing.act = [=](FileSystem& fs, const CheckpointManagerOptions& given) {
    open(fs, given).remove("e3");
  };
  removing.newest_before = 3;
  removing.newest_after = 2;
  removing.always = {1, 2};
  removing.gone = {3};
  result.push_back(removing);

  Scenario best{"a save that keeps the best, and what is pinned",
                options().keep_last(1).keep_best(1, "loss", checkpoint::Mode::kMin)};
  best.prepare = [=](MemoryFileSystem& memory) {
    filled({1, 2, 3})(memory);
    open(memory, options()).pin("e2");
    memory.crash(DataFate::kKept, EntryFate::kKept);
  };
  best.act = [](FileSystem& fs, const CheckpointManagerOptions& given) { save(fs, given, 4); };
  best.newest_before = 3;
  best.newest_after = 4;
  best.always = {1, 2};
  best.pinned = {1, 2};
  best.gone = {3, 4};
  result.push_back(best);

  Scenario undecided{"a save that finds removals half done", options().keep_last(1)};
  undecided.prepare = [=](MemoryFileSystem& memory) {
    filled({1, 2, 3})(memory);
    open(memory, options()).pin("e2");
    memory.rename(path_of("e1").c_str(), path_of(".retiring-e1").c_str());
    memory.rename(path_of("e2").c_str(), path_of(".retiring-e2").c_str());
    memory.crash(DataFate::kKept, EntryFate::kKept);
  };
  undecided.act = best.act;
  undecided.newest_before = 3;
  undecided.newest_after = 4;
  undecided.pinned = {2};
  undecided.gone = {1, 3};
  result.push_back(undecided);
  return result;
}

std::vector<Scenario> restores() {
  std::vector<Scenario> result;
  Scenario latest{"a restore of the latest", options()};
  latest.prepare = filled({1, 2});
  latest.act = restore_latest;
  latest.newest_before = latest.newest_after = 2;
  latest.always = {1, 2};
  result.push_back(latest);

  Scenario named = latest;
  named.name = "a restore by name";
  named.act = [](FileSystem& fs, const CheckpointManagerOptions& given) {
    Live live;
    CheckpointManager manager = ManagerAccess::open(fs, kRuns, given);
    try {
      manager.restore(live.state, "e1");
      check_live(live, true);
    } catch (const Error& error) {
      check_live(live, error);
      throw;
    }
  };
  result.push_back(named);

  Scenario best = latest;
  best.name = "a restore of the best";
  best.options.keep_best(1, "loss", checkpoint::Mode::kMin);
  best.act = [](FileSystem& fs, const CheckpointManagerOptions& given) {
    Live live;
    CheckpointManager manager = ManagerAccess::open(fs, kRuns, given);
    try {
      check_live(live, manager.restore_best(live.state).has_value());
    } catch (const Error& error) {
      check_live(live, error);
      throw;
    }
  };
  result.push_back(best);

  Scenario unmarked = latest;
  unmarked.name = "a restore from a copy without the hidden files";
  unmarked.prepare = [](MemoryFileSystem& memory) {
    filled({1, 2})(memory);
    for (const char* name : {"e1/.torch-checkpoint", "e2/.torch-checkpoint", ".lock"}) {
      memory.unlink(path_of(name).c_str());
    }
    memory.crash(DataFate::kKept, EntryFate::kKept);
  };
  result.push_back(unmarked);

  Scenario looking = latest;
  looking.name = "list, latest and verify";
  looking.act = [](FileSystem& fs, const CheckpointManagerOptions& given) {
    const CheckpointManager manager = ManagerAccess::open(fs, kRuns, given);
    for (const auto& info : manager.list()) manager.verify(info.name);
    manager.latest();
  };
  result.push_back(looking);

  for (const char* file : {"checkpoint.pt", "tensors.json", "manifest.json"}) {
    Scenario damaged = latest;
    damaged.name = std::string("a restore of the latest, whose ") + file + " is damaged";
    damaged.prepare = [file](MemoryFileSystem& memory) {
      filled({1, 2, 3})(memory);
      flip(memory, std::string("e3/") + file);
    };
    damaged.damaged = {"e3"};
    result.push_back(damaged);
  }
  return result;
}

// Starts next to a checkpoint that is not listed. `hide` is how e1 was hidden.
std::vector<Scenario> refusals() {
  const auto refused = [](const char* name, const std::function<void(MemoryFileSystem&)>& hide) {
    Scenario scenario{name, options()};
    scenario.prepare = [hide](MemoryFileSystem& memory) {
      filled({1})(memory);
      memory.unlink(path_of("latest").c_str());
      hide(memory);
      memory.crash(DataFate::kKept, EntryFate::kKept);
    };
    scenario.act = [](FileSystem& fs, const CheckpointManagerOptions& given) {
      Live live;
      try {
        ManagerAccess::open(fs, kRuns, given).restore_latest(live.state);
      } catch (const Error&) {
        return check_live(live, false);
      }
      throw std::logic_error("a start from scratch");
    };
    scenario.unseen = true;
    return scenario;
  };
  const auto hidden_as = [](const char* name) {
    return [name](MemoryFileSystem& memory) {
      memory.unlink(path_of("history.jsonl").c_str());
      memory.rename(path_of("e1").c_str(), path_of(name).c_str());
    };
  };
  return {refused("a start beside a removal half done", hidden_as(".retiring-e1")),
          refused("a start below which a run is",
                  [](MemoryFileSystem& memory) {
                    memory.unlink(path_of("history.jsonl").c_str());
                    memory.mkdir(path_of("run").c_str(), 0777);
                    memory.rename(path_of("e1").c_str(), path_of("run/e1").c_str());
                  }),
          refused("a start where the history alone tells of a checkpoint",
                  [](MemoryFileSystem& memory) {
                    memory.rename(path_of("e1").c_str(), "/new/parents/e1");
                  })};
}

}  // namespace

std::vector<Scenario> scenarios() {
  std::vector<Scenario> all;
  for (const auto& some : {savings(), sharings(), keepings(), restores(), refusals()})
    all.insert(all.end(), some.begin(), some.end());
  return all;
}

}  // namespace test
