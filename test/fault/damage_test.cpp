// Damage of every kind is found, by verify and by every restore, and a checkpoint is set aside only
// when it is damaged on the disk, by the one who may.

#include "fault/world.h"
#include "manager/manager_access.h"
#include "support/catch.h"
#include "support/error_of.h"

#include <checkpoint/checkpoint.h>

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <functional>
#include <random>

using namespace checkpoint;
using namespace test;
using internal::ManagerAccess;

namespace {

const auto kOptions = CheckpointManagerOptions().name("e{epoch}");

// Two checkpoints, e1 and e2, of a tensor of 4,000 numbers.
struct Big {
  explicit Big(double start = -1) : tensor(torch::full({4000}, start)) {
    state.add("tensor", tensor).rng(false);
  }
  bool all(double value) const { return torch::equal(tensor, torch::full({4000}, value)); }

  torch::Tensor tensor;
  State state;
};

void save_two(MemoryFileSystem& memory) {
  CheckpointManager manager = ManagerAccess::open(memory, kRuns, kOptions);
  for (const int64_t value : {1, 2}) {
    Big live(static_cast<double>(value));
    manager.save(live.state, {value});
  }
}

// Returns what was wrong with the reaction to the damage of e2. Empty if all was right.
std::string not_found_by(MemoryFileSystem& memory) {
  Big live;
  {
    CheckpointManager manager = ManagerAccess::open(memory, kRuns, kOptions);
    if (!contains(error_of([&] { manager.verify("e2"); }), "corrupt: ")) return "verify";
    if (!contains(error_of([&] { manager.restore(live.state, "e2"); }), "corrupt: "))
      return "restore";
    if (!live.all(-1)) return "restore, which changed the live state,";
    if (memory.names(kRuns) !=
        std::vector<std::string>{".lock", "e1", "e2", "history.jsonl", "latest"}) {
      return "looking, which renamed something,";
    }
  }
  CheckpointManager manager = ManagerAccess::open(memory, kRuns, kOptions);
  const auto restored = manager.restore_latest(live.state);
  if (!restored || restored->name() != "e1" || !live.all(1)) return "restore_latest";
  const auto& passed = restored->skipped;
  if (passed.size() != 1 || passed[0].name != "e2.corrupt" || !contains(passed[0].reason, "e2/")) {
    return "the account of restore_latest";
  }
  if (memory.names(path_of("e2.corrupt")).size() != 4) return "setting aside";
  return {};
}

struct Counted {
  int tried = 0;
  int missed = 0;
};

// Changes one file of e2, and checks the reaction.
void try_damage(const MemoryFileSystem& whole, const std::string& file, const std::string& content,
                const std::string& what, Counted* counted) {
  MemoryFileSystem memory = whole;
  memory.put(path_of("e2/") + file, content);
  ++counted->tried;
  const std::string missed = not_found_by(memory);
  if (missed.empty()) return;
  if (++counted->missed <= 5) FAIL_CHECK(what << " of " << file << " is not found by " << missed);
}

std::string flipped(std::string content, size_t byte, int bit) {
  content[byte] = static_cast<char>(content[byte] ^ (1 << bit));
  return content;
}

// The first readings of an archive (a manifest is smaller) give a bit that is not on the disk:
// memory, or a cable.
class FlickeringFileSystem final : public MemoryFileSystem {
 public:
  using MemoryFileSystem::operator=;
  ssize_t pread(int fd, void* to, size_t count, off_t offset) override {
    const ssize_t got = MemoryFileSystem::pread(fd, to, count, offset);
    if (got > 2000 && wrong_readings-- > 0) static_cast<char*>(to)[500] ^= 1;
    return got;
  }
  int wrong_readings = 0;
};

// Something happens just before a file of this name is opened.
class HookedFileSystem final : public MemoryFileSystem {
 public:
  int open(const char* path, int flags, mode_t mode) override {
    if (before_open && std::string(path) == hooked) std::exchange(before_open, {})();
    return MemoryFileSystem::open(path, flags, mode);
  }
  std::string hooked;
  std::function<void()> before_open;
};

void remove_checkpoint(MemoryFileSystem& memory, const std::string& name) {
  for (const std::string& file : memory.names(path_of(name))) {
    memory.unlink(path_of(name + '/' + file).c_str());
  }
  memory.rmdir(path_of(name).c_str());
}

}  // namespace

TEST_CASE("Every flipped bit of the manifest, and one in every 64 bytes of the rest, is found") {
  torch::set_num_threads(1);
  MemoryFileSystem whole;
  save_two(whole);
  Counted counted;
  const std::string manifest = whole.content(path_of("e2/manifest.json"));
  for (size_t byte = 0; byte < manifest.size(); ++byte) {
    for (int bit = 0; bit < 8; ++bit) {
      try_damage(whole, "manifest.json", flipped(manifest, byte, bit),
                 "bit " + std::to_string(bit) + " of byte " + std::to_string(byte), &counted);
    }
  }
  std::minstd_rand random(20261125);
  for (const char* file : {"checkpoint.pt", "tensors.json"}) {
    const std::string content = whole.content(path_of("e2/") + file);
    for (size_t byte = 0; byte < content.size(); byte += 64) {
      const int bit = static_cast<int>(random() % 8);
      try_damage(whole, file, flipped(content, byte, bit),
                 "bit " + std::to_string(bit) + " of byte " + std::to_string(byte), &counted);
    }
  }
  std::printf("flipped bits: %d of %d found\n", counted.tried - counted.missed, counted.tried);
  CHECK(counted.missed == 0);
  CHECK(counted.tried > 4000);
}

TEST_CASE("Every truncation, and anything behind the end, is found") {
  torch::set_num_threads(1);
  MemoryFileSystem whole;
  save_two(whole);
  Counted counted;
  for (const char* file : {"checkpoint.pt", "tensors.json", "manifest.json"}) {
    const std::string content = whole.content(path_of("e2/") + file);
    for (size_t size = 0; size < content.size(); size += 512) {
      try_damage(whole, file, content.substr(0, size), "the end at byte " + std::to_string(size),
                 &counted);
    }
    try_damage(whole, file, content.substr(0, content.size() - 1), "a byte less", &counted);
    try_damage(whole, file, content + '\n', "a byte more", &counted);
  }
  std::printf("truncations: %d of %d found\n", counted.tried - counted.missed, counted.tried);
  CHECK(counted.missed == 0);
}

TEST_CASE("A checkpoint that is whole on the disk is passed over if misread, and not set aside") {
  FlickeringFileSystem memory;
  save_two(memory);
  memory.wrong_readings = 1;
  Big live;
  const auto restored = ManagerAccess::open(memory, kRuns, kOptions).restore_latest(live.state);
  REQUIRE(restored);
  REQUIRE(restored->skipped.size() == 1);
  CHECK(restored->skipped[0].name == "e2");
  CHECK(live.all(1));
  CHECK(memory.names(kRuns) ==
        std::vector<std::string>{".lock", "e1", "e2", "history.jsonl", "latest"});
}

TEST_CASE(
    "A checkpoint that retention takes away meanwhile is passed over, and nothing is renamed") {
  const std::string file = GENERATE("manifest.json", "checkpoint.pt", "tensors.json");
  HookedFileSystem memory;
  save_two(memory);
  memory.hooked = path_of("e2/") + file;
  memory.before_open = [&] { remove_checkpoint(memory, "e2"); };
  Big live;
  const auto restored = ManagerAccess::open(memory, kRuns, kOptions).restore_latest(live.state);
  REQUIRE(restored);
  CHECK(restored->name() == "e1");
  CHECK(live.all(1));
  CHECK(memory.names(kRuns) == std::vector<std::string>{".lock", "e1", "history.jsonl", "latest"});
}

TEST_CASE("A disk that does not answer is an error, not an empty directory") {
  // After the names were read: of the checkpoints nothing can be seen, their marker neither.
  class DeadDisk final : public MemoryFileSystem {
   public:
    int open(const char* path, int flags, mode_t mode) override {
      return is_dead(path) ? -1 : MemoryFileSystem::open(path, flags, mode);
    }
    int lstat(const char* path, struct stat* info) override {
      return is_dead(path) ? -1 : MemoryFileSystem::lstat(path, info);
    }
    int error_number = 0;

   private:
    bool is_dead(const std::string& path) const {
      const bool below_one =
          path.find("/e1/") != std::string::npos || path.find("/e2/") != std::string::npos;
      if (error_number == 0 || !below_one) return false;
      errno = error_number;
      return true;
    }
  };
  DeadDisk memory;
  save_two(memory);
  for (const int error_number : {EIO, EMFILE, EACCES, ENOMEM}) {
    memory.error_number = error_number;
    INFO("errno " << error_number);
    Big live;
    CheckpointManager manager = ManagerAccess::open(memory, kRuns, kOptions);
    CHECK_FALSE(error_of([&] { manager.restore_latest(live.state); }).empty());
    CHECK(live.all(-1));
    memory.error_number = 0;
    CHECK(manager.restore_latest(live.state)->manifest.name == "e2");
  }
}
