// Before each call of each operation, the run's directory is moved away, and another run's
// directory takes its path. That run's writer holds its lock. Its checkpoints must not change, and
// neither may its other files, except in the moment between a check of the directory and the next
// call.

#include "fault/world.h"
#include "manager/manager_access.h"
#include "support/catch.h"
#include "support/faulty_file_system.h"

#include <checkpoint/error.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <stdexcept>
#include <vector>

using namespace test;

namespace {

constexpr char kOther[] = "/other";
constexpr char kAway[] = "/away";

// Checkpoints of the same names as those of the scenarios.
void add_other_run(MemoryFileSystem& memory) {
  checkpoint::CheckpointManager manager = checkpoint::internal::ManagerAccess::open(
      memory, kOther, checkpoint::CheckpointManagerOptions().name("e{epoch}"));
  for (const int64_t value : {1, 2, 3, 4, 5}) {
    Live live(1000 + value);
    manager.save(live.state, {value, 0, 1.0 * value});
  }
  manager.pin("e1");
}

void put_other_run_in_place(MemoryFileSystem& memory) {
  memory.mkdir("/new", 0777);
  memory.mkdir("/new/parents", 0777);
  memory.rename(kRuns, kAway);
  if (memory.rename(kOther, kRuns) != 0) throw std::runtime_error("the other run stays away");
  const int lock = memory.open((std::string(kRuns) + "/.lock").c_str(), O_RDWR, 0);
  if (memory.flock(lock, LOCK_EX | LOCK_NB) != 0) throw std::runtime_error("the lock is held");
}

using Tree = std::map<std::string, std::string>;

// Every path below `path`, and what is in it; of a directory nothing.
void collect(MemoryFileSystem& memory, const std::string& path, const std::string& name,
             Tree* tree) {
  struct stat info = {};
  if (memory.lstat((path + name).c_str(), &info) != 0) return;
  const bool is_directory = S_ISDIR(info.st_mode);
  (*tree)[name] = is_directory ? std::string() : memory.content(path + name);
  if (!is_directory) return;
  for (const std::string& entry : memory.names(path + name)) {
    collect(memory, path, name + '/' + entry, tree);
  }
}

Tree tree_of(MemoryFileSystem& memory, const std::string& path) {
  Tree tree;
  collect(memory, path, "", &tree);
  return tree;
}

bool may_be_met(const std::string& name) {
  return name == "/latest" || name == "/best" || name == "/history.jsonl";
}

std::string difference(const Tree& before, const Tree& after, size_t* met) {
  std::string text;
  for (const auto& [name, content] : before) {
    const auto found = after.find(name);
    if (found == after.end()) text += " lost " + name;
    if (found == after.end() || found->second == content) continue;
    if (may_be_met(name)) {
      *met += 1;
    } else {
      text += " changed " + name;
    }
  }
  for (const auto& entry : after) {
    if (before.count(entry.first) != 0) continue;
    if (may_be_met(entry.first)) {
      *met += 1;
    } else {
      text += " new " + entry.first;
    }
  }
  return text;
}

// What the operation says is its own matter: it may be over by then, or read on.
void act(const Scenario& scenario, FaultyFileSystem& fs) {
  try {
    scenario.act(fs, scenario.options);
  } catch (const checkpoint::Error&) {
  } catch (const std::logic_error&) {
  }
}

std::vector<std::string> calls_of(const Scenario& scenario, const MemoryFileSystem& prepared) {
  MemoryFileSystem memory = prepared;
  FaultyFileSystem fs(memory);
  act(scenario, fs);
  return fs.calls();
}

}  // namespace

TEST_CASE("Another run's directory at the path of one's own, before every call") {
  torch::set_num_threads(1);
  size_t states = 0, met = 0;
  for (const Scenario& scenario : scenarios()) {
    MemoryFileSystem prepared;
    scenario.prepare(prepared);
    add_other_run(prepared);
    const Tree other = tree_of(prepared, kOther);
    REQUIRE(other.count("/e1/checkpoint.pt") == 1);
    const std::vector<std::string> calls = calls_of(scenario, prepared);
    // Who takes no lock (pin, unpin, a reader) has no directory of its own.
    if (std::find(calls.begin(), calls.end(), "flock") == calls.end()) continue;
    for (size_t call = 0; call < calls.size(); call += kEvery) {
      MemoryFileSystem memory = prepared;
      FaultyFileSystem fs(memory);
      fs.before(static_cast<int>(call), [&memory] { put_other_run_in_place(memory); });
      act(scenario, fs);
      const std::string found = difference(other, tree_of(memory, kRuns), &met);
      INFO(scenario.name << ": call " << call << " of " << calls.size() << ", " << calls[call]);
      CHECK(found == "");
      ++states;
    }
  }
  CHECK(states > 500 / kEvery);
  CHECK(met < states / 20);
}
