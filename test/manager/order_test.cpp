// Order is by sequence, never by a clock: neither the manifests' dates nor the files' times matter.

#include "support/catch.h"
#include "support/error_of.h"
#include "support/temporary_directory.h"

#include "store/records/manifest.h"

#include <checkpoint/checkpoint.h>

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

using namespace checkpoint;
namespace fs = std::filesystem;

namespace {

const auto kOptions = CheckpointManagerOptions().name("e{epoch}");

void save(const std::string& directory, int64_t value, const CheckpointManagerOptions& options) {
  State state;
  state.add("value", value).rng(false);
  CheckpointManager(directory, options).save(state, {value});
}

int64_t resumed(const std::string& directory) {
  int64_t value = -1;
  State state;
  state.add("value", value).rng(false);
  REQUIRE(CheckpointManager(directory, kOptions).restore_latest(state));
  return value;
}

// As if the clock had shown this when the checkpoint was saved.
void date(const std::string& checkpoint, const std::string& created, time_t seconds) {
  const std::string path = checkpoint + "/manifest.json";
  Manifest manifest = store::decode_manifest(test::read_file(path), path);
  manifest.created = created;
  test::write_file(path, store::encode_manifest(manifest));
  const timespec times[2] = {{seconds, 0}, {seconds, 0}};
  for (const auto& entry : fs::directory_iterator(checkpoint)) {
    REQUIRE(::utimensat(AT_FDCWD, entry.path().c_str(), times, 0) == 0);
  }
  REQUIRE(::utimensat(AT_FDCWD, checkpoint.c_str(), times, 0) == 0);
}

}  // namespace

TEST_CASE("A clock that is ten years off, either way, changes no order; nor do equal times") {
  const test::TemporaryDirectory root;
  for (const int64_t value : {1, 2, 3}) save(root.path(), value, kOptions);
  SECTION("the newest is the oldest by the clock") {
    date(root / "e1", "2036-11-25T00:00:00Z", 2111270400);
    date(root / "e3", "2016-11-25T00:00:00Z", 1480032000);
  }
  SECTION("all are of one moment") {
    for (const char* name : {"e1", "e2", "e3"}) {
      date(root / name, "2026-11-25T00:00:00Z", 1795564800);
    }
  }
  const CheckpointManager manager(root.path(), kOptions);
  std::string order;
  for (const CheckpointInfo& info : manager.list()) order += info.name + ' ';
  CHECK(order == "e1 e2 e3 ");
  CHECK(manager.latest()->name == "e3");
  CHECK(resumed(root.path()) == 3);
  // The next one is the newest, and retention takes the oldest, by the order of saving.
  save(root.path(), 4, CheckpointManagerOptions(kOptions).keep_last(2));
  CHECK(manager.list().front().name == "e3");
  CHECK(manager.latest()->name == "e4");
  CHECK(resumed(root.path()) == 4);
}

TEST_CASE("A directory that cannot be written to can be read, and a save says why it fails") {
  const test::TemporaryDirectory root;
  if (::mount("tmpfs", root.path().c_str(), "tmpfs", 0, "size=2m") != 0) {
    WARN("skipped: mounting is not allowed here");
    return;
  }
  save(root.path(), 1, kOptions);
  REQUIRE(::mount(nullptr, root.path().c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0);
  {
    CheckpointManager manager(root.path(), kOptions);
    CHECK(manager.list().size() == 1);
    manager.verify("e1");
    int64_t value = -1;
    State state;
    state.add("value", value).rng(false);
    const std::string error = error_of([&] { manager.save(state, {2}); });
    CHECK(contains(error, "io: "));
    CHECK(contains(error, "Make the directory writable"));
    // The error says how to restore without saving.
    CHECK(contains(error_of([&] { manager.restore_latest(state); }), "read_only(true)"));
    CheckpointManager looking(root.path(), CheckpointManagerOptions(kOptions).read_only(true));
    CHECK(looking.restore_latest(state));
    CHECK(manager.restore(state, "e1").manifest.name == "e1");
    CHECK(value == 1);
    CHECK(manager.list().size() == 1);
  }
  CHECK(::umount2(root.path().c_str(), MNT_DETACH) == 0);
}
