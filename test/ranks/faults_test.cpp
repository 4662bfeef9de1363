// Each call of each rank, to the file system and to the coordinator, fails once, or is the last
// one before the rank dies. The ranks are threads on a file system in memory.

#include "base/parallel.h"
#include "manager/manager_access.h"
#include "ranks/ranks.h"
#include "support/catch.h"
#include "support/error_of.h"
#include "support/faulty_file_system.h"
#include "support/memory_file_system.h"
#include "support/sanitized.h"
#include "support/temporary_directory.h"

#include <checkpoint/checkpoint.h>

#include <torch/torch.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace checkpoint;
using test::FaultyFileSystem;
using test::KeysCoordinator;
using test::MemoryFileSystem;

namespace {

constexpr char kRuns[] = "/runs";
constexpr std::chrono::milliseconds kImpatient(test::kSanitized ? 300 : 80);
// Only every eighth call under sanitizers, which take many times as long.
constexpr int kStep = test::kSanitized ? 8 : 1;

// One rank's part of a training: all of one value.
struct Live {
  Live(int64_t start, int rank, int size) : own(start) {
    for (int i = 0; i < 4; ++i) tensors.push_back(torch::full({8}, start, torch::kDouble));
    tensors.push_back(torch::full({3}, start, torch::kDouble));
    for (int i = 0; i < 4; ++i) state.add("tensor" + std::to_string(i), tensors[i]);
    state.add("part", tensors.back()).shard({{3 * size}, {3 * rank}, tensors.back()});
    state.add("own", own, PerRank()).rng(false);
  }
  void set(int64_t value) {
    for (torch::Tensor& tensor : tensors) tensor.fill_(value);
    own = value;
  }
  // The value that all of it has; -2 if it is a mixture.
  int64_t all() const {
    for (const torch::Tensor& tensor : tensors) {
      if (!torch::equal(tensor, torch::full_like(tensor, own))) return -2;
    }
    return own;
  }

  std::vector<torch::Tensor> tensors;
  int64_t own;
  State state;
};

enum class Where { kFiles, kCoordinator };

// What goes wrong.
struct Trouble {
  int rank = -1;  // -1: nothing does.
  Where where = Where::kFiles;
  int call = 0;
  bool dies = false;
  bool machine = false;  // Then the machine stops, too.
  int error = EIO;       // What a call that fails says.

  std::string text() const {
    return "rank " + std::to_string(rank) +
           (where == Where::kFiles ? " on files, call " : " on the coordinator, call ") +
           std::to_string(call) + (dies ? " dies" : " fails") + (machine ? ", machine stops" : "");
  }
};

// The ranks of one run, each with its own way to the same files and keys.
class World {
 public:
  World(MemoryFileSystem& memory, int size, const Trouble& trouble) : trouble_(trouble) {
    coordinators_ = test::coordinators(size);
    for (int rank = 0; rank < size; ++rank) {
      files_.push_back(std::make_unique<FaultyFileSystem>(memory));
      calls_.push_back(std::make_unique<std::atomic<int>>(0));
      const bool is_it = rank == trouble.rank;
      if (is_it && trouble.where == Where::kFiles) {
        files_.back()->arm(
            trouble.call,
            {trouble.dies ? test::Fault::Kind::kStop : test::Fault::Kind::kError, trouble.error});
      } else {
        files_.back()->arm(-1, {test::Fault::Kind::kError});
      }
      coordinators_[rank]->before = [this, rank, is_it] { before_coordinator(rank, is_it); };
    }
  }

  // Runs the work on all ranks. Returns what each threw.
  std::vector<std::string> run(bool async, std::chrono::milliseconds timeout,
                               const std::function<void(CheckpointManager&, int rank)>& work) {
    return test::run_ranks(static_cast<int>(files_.size()), [&](int rank) {
      CheckpointManager manager =
          internal::ManagerAccess::open(*files_[static_cast<size_t>(rank)], kRuns,
                                        CheckpointManagerOptions()
                                            .name("e{epoch}")
                                            .keep_last(2)
                                            .async(async)
                                            .timeout(timeout)
                                            .coordinator(coordinators_[static_cast<size_t>(rank)]));
      work(manager, rank);
    });
  }

  const std::vector<std::string>& names_of_file_calls(int rank) const {
    return files_[static_cast<size_t>(rank)]->calls();
  }
  int file_calls(int rank) const { return static_cast<int>(names_of_file_calls(rank).size()); }
  FaultyFileSystem& files(int rank) { return *files_[static_cast<size_t>(rank)]; }
  KeysCoordinator& coordinator(int rank) { return *coordinators_[static_cast<size_t>(rank)]; }
  int coordinator_calls(int rank) const { return *calls_[static_cast<size_t>(rank)]; }

 private:
  void before_coordinator(int rank, bool is_it) {
    const int call = (*calls_[static_cast<size_t>(rank)])++;
    if (!is_it) return;
    // A rank that is dead for its files says nothing either.
    const bool files_dead =
        trouble_.where == Where::kFiles && trouble_.dies && file_calls(rank) > trouble_.call;
    const bool fails = trouble_.where == Where::kCoordinator &&
                       (trouble_.dies ? call >= trouble_.call : call == trouble_.call);
    if (fails && trouble_.dies)
      files_[static_cast<size_t>(rank)]->arm(0, {test::Fault::Kind::kStop});
    if (files_dead || fails) throw std::runtime_error("the store is lost");
  }

  const Trouble trouble_;
  std::vector<std::shared_ptr<KeysCoordinator>> coordinators_;
  std::vector<std::unique_ptr<FaultyFileSystem>> files_;
  std::vector<std::unique_ptr<std::atomic<int>>> calls_;
};

// An operation of all ranks. There is a checkpoint e1 before it.
struct Operation {
  const char* name;
  bool async;
  bool saves;  // e2; otherwise it restores.
};

void act(CheckpointManager& manager, Live& live, const Operation& operation) {
  if (!operation.saves) {
    manager.restore_latest(live.state);
    return;
  }
  live.set(2);
  manager.save(live.state, {2});
  manager.wait();
}

// Returns the name of the staging directory; empty if all are removed.
std::string staging_in(MemoryFileSystem& memory) {
  for (const std::string& name : memory.names(kRuns)) {
    if (name.rfind(".staging", 0) == 0) return name;
  }
  return {};
}

// Returns what is wrong after the trouble; empty if all is well.
std::string try_one(const MemoryFileSystem& before, int size, const Operation& operation,
                    const Trouble& trouble) {
  MemoryFileSystem memory(before);
  std::vector<std::unique_ptr<Live>> lives;
  for (int rank = 0; rank < size; ++rank) lives.push_back(std::make_unique<Live>(-1, rank, size));
  std::vector<std::string> errors;
  {
    World world(memory, size, trouble);
    const auto begin = std::chrono::steady_clock::now();
    errors = world.run(operation.async, kImpatient, [&](CheckpointManager& manager, int rank) {
      act(manager, *lives[static_cast<size_t>(rank)], operation);
    });
    if (std::chrono::steady_clock::now() - begin > std::chrono::seconds(20)) return "a rank hung";
  }
  bool all_succeeded = true, one_succeeded = false;
  for (int rank = 0; rank < size; ++rank) {
    const std::string& error = errors[static_cast<size_t>(rank)];
    if (error.rfind("not an Error", 0) == 0) return error;
    (error.empty() ? one_succeeded : all_succeeded) = error.empty();
    const int64_t value = lives[static_cast<size_t>(rank)]->all();
    if (operation.saves) continue;
    const bool is_known_half = error.find("must not be used") != std::string::npos;
    if (error.empty() && value != 1) return "a restore that succeeded left something else";
    if (!error.empty() && value != -1 && value != 1 && !is_known_half)
      return "half restored: " + error;
  }
  // A rank that lives must not differ from the others, unless it says that it does not know.
  if (operation.saves && one_succeeded && !all_succeeded) {
    for (int rank = 0; rank < size; ++rank) {
      const std::string& error = errors[static_cast<size_t>(rank)];
      const bool may_differ = error.empty() || rank == trouble.rank ||
                              error.find("may have been committed") != std::string::npos;
      if (!may_differ) return "one succeeded, and another says: " + error;
    }
  }
  if (trouble.machine) memory.crash(test::DataFate::kLost, test::EntryFate::kLost);
  MemoryFileSystem after(memory);  // As after the death of all: no locks.

  // All start again.
  std::vector<std::unique_ptr<Live>> again;
  for (int rank = 0; rank < size; ++rank) again.push_back(std::make_unique<Live>(-1, rank, size));
  World world(after, size, {});
  const auto restarted =
      world.run(false, std::chrono::minutes(1), [&](CheckpointManager& manager, int rank) {
        Live& live = *again[static_cast<size_t>(rank)];
        manager.restore_latest(live.state);
        const int64_t value = live.all();
        if (value != 1 && !(operation.saves && value == 2)) {
          throw std::runtime_error("restored " + std::to_string(value));
        }
        if (operation.saves && one_succeeded && value != 2) {
          throw std::runtime_error("an acknowledged save is lost");
        }
        live.set(3);
        manager.save(live.state, {3});
        live.set(-1);
        manager.restore_latest(live.state);
        if (live.all() != 3) throw std::runtime_error("the next save did not work");
      });
  for (const std::string& error : restarted) {
    if (!error.empty()) return error;
  }
  const std::string left = staging_in(after);
  return left.empty() ? "" : "left behind: " + left;
}

// Each trouble in a world of its own. A rank mostly waits for another one, so several worlds run at
// a time. Returns what is wrong after each.
std::vector<std::string> try_all(const MemoryFileSystem& before, int size,
                                 const Operation& operation, const std::vector<Trouble>& troubles) {
  std::vector<std::string> wrong(troubles.size());
  base::parallel_for(0, troubles.size(), 4, [&](base::Indices& indices) {
    for (size_t i = 0; indices.next(i);) wrong[i] = try_one(before, size, operation, troubles[i]);
  });
  return wrong;
}

MemoryFileSystem with_first_checkpoint(int size) {
  MemoryFileSystem memory;
  World world(memory, size, {});
  const auto errors =
      world.run(false, std::chrono::minutes(1), [&](CheckpointManager& manager, int rank) {
        Live live(1, rank, size);
        manager.save(live.state, {1});
      });
  REQUIRE(errors == test::no_errors(size));
  return MemoryFileSystem(memory);
}

// Which call of a rank to the file system is the first of this name, in a save.
int first_call(const MemoryFileSystem& before, int rank, const std::string& name) {
  MemoryFileSystem memory(before);
  World world(memory, 2, {});
  REQUIRE(world.run(false, std::chrono::minutes(1), [](CheckpointManager& manager, int own_rank) {
    Live live(2, own_rank, 2);
    manager.save(live.state, {2});
  }) == test::no_errors(2));
  const std::vector<std::string>& calls = world.names_of_file_calls(rank);
  const auto found = std::find(calls.begin(), calls.end(), name);
  REQUIRE(found != calls.end());
  return static_cast<int>(found - calls.begin());
}

}  // namespace

TEST_CASE("Each call of each rank fails, or is its last", "[ranks-matrix]") {
  torch::set_num_threads(1);
  const int size = GENERATE(2, 4);
  const MemoryFileSystem before = with_first_checkpoint(size);
  for (const Operation& operation :
       {Operation{"save", false, true}, Operation{"asynchronous save", true, true},
        Operation{"restore", false, false}}) {
    // How many calls there are. Polls may add a few.
    MemoryFileSystem memory(before);
    World counted(memory, size, {});
    REQUIRE(counted.run(operation.async, std::chrono::minutes(1),
                        [&](CheckpointManager& manager, int rank) {
                          Live live(-1, rank, size);
                          act(manager, live, operation);
                        }) == test::no_errors(size));
    std::vector<Trouble> troubles;
    const auto add_all = [&](int rank, Where where, int calls) {
      for (int call = 0; call < calls; call += kStep) {
        for (const bool dies : {false, true}) {
          // A death makes the others wait, so not every call is one.
          if (dies && call % (size == 2 ? 2 : 6) != 0) continue;
          for (const bool machine : {false, true}) {
            if (machine && !(dies && rank == 0 && operation.saves)) continue;
            troubles.push_back({rank, where, call, dies, machine});
          }
        }
      }
    };
    for (const int rank : {0, size - 1}) {
      add_all(rank, Where::kFiles, counted.file_calls(rank));
      add_all(rank, Where::kCoordinator, std::min(counted.coordinator_calls(rank), 40));
    }
    const std::vector<std::string> wrong = try_all(before, size, operation, troubles);
    for (size_t i = 0; i < troubles.size(); ++i) {
      if (wrong[i].empty()) continue;
      FAIL_CHECK(operation.name << " of " << size << ": " << troubles[i].text() << ": "
                                << wrong[i]);
    }
    std::printf("%6zu rank fault states: %s of %d ranks\n", troubles.size(), operation.name, size);
  }
}

TEST_CASE("A disk that is full for one rank alone fails the save of all") {
  torch::set_num_threads(1);
  const int full = GENERATE(0, 1);
  const MemoryFileSystem before = with_first_checkpoint(2);
  int refused = 0;
  for (int call = 0; call < 60; call += 2) {
    MemoryFileSystem memory(before);
    World world(memory, 2, {full, Where::kFiles, call, false, false, ENOSPC});
    const auto errors =
        world.run(false, std::chrono::minutes(1), [&](CheckpointManager& manager, int rank) {
          Live live(2, rank, 2);
          std::string error;
          try {
            manager.save(live.state, {2});
          } catch (const Error& failure) {
            error = std::string(to_string(failure.code())) + ": " + failure.what();
          }
          manager.save(live.state, {3});
          if (!error.empty()) throw std::runtime_error(error);
        });
    CAPTURE(call, errors);
    CHECK(errors[0].empty() == errors[1].empty());
    if (errors[0].empty()) continue;
    const auto has_no_space = [](const std::string& error) {
      return contains(error, "no_space: ");
    };
    CHECK(has_no_space(errors[0]) == has_no_space(errors[1]));
    if (has_no_space(errors[0])) ++refused;
  }
  CHECK(refused > 1);
}

TEST_CASE("A rank throws why the save has ended, not what it finds after that") {
  torch::set_num_threads(1);
  MemoryFileSystem memory = with_first_checkpoint(2);
  const int full = first_call(memory, 0, "allocate"), create = first_call(memory, 1, "open");
  std::atomic<bool> is_called(false), has_ended(false);
  const auto is_removed = [&] { return is_called && staging_in(memory).empty(); };
  const auto wait_for = [](const std::function<bool()>& done) {
    for (int i = 0; i < 10000 && !done(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  };
  // Rank 0 has no space for its content file. Rank 1 creates its own when the directory is gone.
  World world(memory, 2, {0, Where::kFiles, full, false, false, ENOSPC});
  world.files(0).before(full, [&] { wait_for([&] { return is_called.load(); }); });
  world.files(1).before(create, [&] {
    is_called = true;
    wait_for(is_removed);
  });
  // If rank 0 has removed the directory before it tells, then rank 1 is faster.
  world.coordinator(0).before = [&] {
    if (is_removed()) wait_for([&] { return has_ended.load(); });
  };
  const auto errors =
      world.run(false, std::chrono::minutes(1), [&](CheckpointManager& manager, int rank) {
        Live live(2, rank, 2);
        try {
          manager.save(live.state, {2});
        } catch (const Error&) {
          if (rank == 1) has_ended = true;
          throw;
        }
      });
  CHECK(contains(errors[0], "no_space: "));
  CHECK(contains(errors[1], "no_space: rank 0: "));
}

TEST_CASE("A slow store makes a save slow, and no more") {
  MemoryFileSystem memory;
  const auto all = test::coordinators(3);
  for (const auto& coordinator : all) {
    coordinator->before = [] { std::this_thread::sleep_for(std::chrono::milliseconds(20)); };
  }
  const auto errors = test::run_ranks(3, [&](int rank) {
    CheckpointManager manager = internal::ManagerAccess::open(
        memory, kRuns,
        CheckpointManagerOptions().coordinator(all[static_cast<size_t>(rank)]).async(true));
    Live live(1, rank, 3);
    manager.save(live.state, {1});
    manager.save(live.state, {2});
    manager.wait();
    live.set(-1);
    manager.restore_latest(live.state);
    if (live.all() != 1) throw std::runtime_error("restored something else");
  });
  CHECK(errors == test::no_errors(3));
}

TEST_CASE("A second job on the directory is kept out, on all its ranks") {
  const test::TemporaryDirectory root;
  const auto first = test::coordinators(2);
  const auto second = test::coordinators(2);
  const auto errors = test::run_ranks(2, [&](int rank) {
    const auto place = static_cast<size_t>(rank);
    const auto options = [](const std::shared_ptr<Coordinator>& coordinator) {
      return CheckpointManagerOptions().coordinator(coordinator).timeout(std::chrono::minutes(1));
    };
    CheckpointManager one(root.path(), options(first[place]));
    Live live(1, rank, 2);
    one.save(live.state, {1});
    std::string refused;
    {
      CheckpointManager two(root.path(), options(second[place]));
      try {
        two.save(live.state, {2});
      } catch (const Error& error) {
        refused = std::string(to_string(error.code())) + ": " + error.what();
      }
    }
    one.save(live.state, {3});
    throw std::runtime_error(refused);
  });
  for (const std::string& error : errors) CHECK(contains(error, "locked: "));
  CHECK(contains(errors[1], "rank 0: "));
  CHECK(CheckpointManager(root.path()).list().size() == 2);
}
