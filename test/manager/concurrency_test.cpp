// One process that writes as fast as it can, with retention; readers in the same manager and in
// managers of their own. For 3 s, or for TORCH_CHECKPOINT_STRESS_SECONDS.

#include "support/catch.h"
#include "support/error_of.h"
#include "support/save_count.h"
#include "support/temporary_directory.h"

#include <checkpoint/checkpoint.h>

#include <signal.h>
#include <sys/wait.h>
#include <torch/torch.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <random>
#include <thread>

using namespace checkpoint;

namespace {

const auto kOptions = CheckpointManagerOptions().name("e{epoch}").keep_last(3);
constexpr int kReaders = 8;

std::chrono::seconds duration() {
  const char* given = std::getenv("TORCH_CHECKPOINT_STRESS_SECONDS");
  return std::chrono::seconds(given != nullptr ? std::atoi(given) : 3);
}

// A tensor and a number, all of one value.
struct Live {
  explicit Live(int64_t start = -1)
      : tensor(torch::full({64}, start, torch::kInt64)), value(start) {
    state.add("tensor", tensor).add("value", value).rng(false);
  }
  bool is(int64_t wanted) const {
    return value == wanted && tensor[0].item<int64_t>() == wanted &&
           tensor[63].item<int64_t>() == wanted;
  }
  torch::Tensor tensor;
  int64_t value;
  State state;
};

// What went wrong in any thread. Catch2's own macros work in one thread only.
class Complaints {
 public:
  void add(const std::string& what) {
    const std::lock_guard<std::mutex> hold(mutex_);
    if (first_.empty()) first_ = what;
  }
  std::string first() {
    const std::lock_guard<std::mutex> hold(mutex_);
    return first_;
  }

 private:
  std::mutex mutex_;
  std::string first_;
};

// Reads any checkpoint that is listed. It may have been removed by then, but is never partly there.
void read_one(CheckpointManager& manager, std::minstd_rand& random, Complaints& complaints,
              int64_t* newest_seen) {
  const std::vector<CheckpointInfo> all = manager.list();
  for (const CheckpointInfo& info : all) {
    if (!info.damage.empty()) complaints.add(info.name + " is listed as damaged: " + info.damage);
  }
  if (all.empty()) return;
  const int64_t newest = all.back().manifest.sequence;
  if (newest < *newest_seen) complaints.add("the newest checkpoint went back");
  *newest_seen = newest;
  const CheckpointInfo& info = all[random() % all.size()];
  try {
    if (random() % 2 == 0) {
      manager.verify(info.name);
    } else {
      Live live;
      manager.restore(live.state, info.name);
      if (!live.is(info.manifest.progress.epoch)) complaints.add(info.name + " restored a mixture");
    }
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound) complaints.add(info.name + ": " + error.what());
  }
}

}  // namespace

// Pins a listed checkpoint, checks that it stays while newer ones come and go, and unpins it.
void pin_one(CheckpointManager& manager, std::minstd_rand& random, test::SaveCount& saves,
             Complaints& complaints) {
  const std::vector<CheckpointInfo> all = manager.list();
  if (all.empty()) return;
  const std::string name = all[random() % all.size()].name;
  try {
    manager.pin(name);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound) complaints.add(std::string("pin: ") + error.what());
    return;
  }
  saves.wait_for_saves(static_cast<int>(random() % 5));
  try {
    manager.verify(name);
  } catch (const Error& error) {
    complaints.add(name + " is pinned, and: " + error.what());
  }
  manager.unpin(name);
}

TEST_CASE("One writer with retention, eight readers, and pins") {
  torch::set_num_threads(1);
  const test::TemporaryDirectory root;
  CheckpointManager writer(root.path(), kOptions);
  Complaints complaints;
  std::atomic<bool> over{false};
  std::atomic<int64_t> readings{0};
  test::SaveCount saves;
  std::vector<std::thread> readers;
  for (int i = 0; i < kReaders; ++i) {
    readers.emplace_back([&, i] {
      try {
        CheckpointManager own(root.path(), kOptions);
        CheckpointManager& manager = i % 2 == 0 ? own : writer;
        std::minstd_rand random(static_cast<uint32_t>(i) + 1);
        int64_t newest_seen = 0;
        while (!over) {
          read_one(manager, random, complaints, &newest_seen);
          ++readings;
        }
      } catch (const std::exception& error) {
        complaints.add(std::string("a reader ended: ") + error.what());
      }
    });
  }
  readers.emplace_back([&] {
    try {
      CheckpointManager manager(root.path(), kOptions);
      std::minstd_rand random(99);
      while (!over) pin_one(manager, random, saves, complaints);
    } catch (const std::exception& error) {
      complaints.add(std::string("pinning ended: ") + error.what());
    }
  });
  int64_t saved = 0;
  const auto end = std::chrono::steady_clock::now() + duration();
  while (std::chrono::steady_clock::now() < end) {
    Live live(saved);
    if (error_of([&] { writer.save(live.state, {saved}); }) != "") complaints.add("a save failed");
    saves.note();
    ++saved;
  }
  over = true;
  saves.end();
  for (std::thread& reader : readers) reader.join();
  std::printf("%d saves beside %d readings\n", static_cast<int>(saved),
              static_cast<int>(readings.load()));
  CHECK(complaints.first() == "");
  Live last(saved);
  writer.save(last.state, {saved++});
  // Three by the rule, and the one that a reader restored last with the writer's own manager. It
  // counts as the one from which the run was resumed.
  for (const CheckpointInfo& info : writer.list()) CHECK_FALSE(info.reasons.empty());
  CHECK(writer.list().size() >= 3);
  CHECK(writer.list().size() <= 4);
  CHECK(writer.latest()->manifest.sequence == saved);
  CHECK(readings > 0);
}

TEST_CASE("A second process is locked out at once, and a killed one holds no lock") {
  const test::TemporaryDirectory root;
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    Live live(1);
    CheckpointManager manager(root.path(), kOptions);
    manager.save(live.state, {1});
    if (::write(ready[1], "x", 1) != 1) ::_exit(1);
    while (true) ::pause();
  }
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  Live live(2);
  CheckpointManager manager(root.path(), kOptions);
  const auto begin = std::chrono::steady_clock::now();
  CHECK(contains(error_of([&] { manager.save(live.state, {2}); }), "locked: "));
  CHECK(contains(error_of([&] { manager.restore_latest(live.state); }), "locked: "));
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(30));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  CHECK(manager.save(live.state, {2}) == "e2");
  ::close(ready[0]);
  ::close(ready[1]);
}
