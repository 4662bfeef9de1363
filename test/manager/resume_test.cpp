#include "support/catch.h"
#include "support/error_of.h"
#include "support/models.h"
#include "support/temporary_directory.h"

#include <checkpoint/checkpoint.h>

#include <filesystem>

using namespace checkpoint;
using test::Net;
namespace fs = std::filesystem;

namespace {

const auto kOptions = CheckpointManagerOptions().name("e{epoch}");

// Three checkpoints, e0 to e2, of a model and a number that is the epoch.
struct Run {
  Run() {
    CheckpointManager manager(root.path(), kOptions);
    for (value = 0; value < 3; ++value) manager.save(state(), {value});
  }
  State state() {
    State result;
    result.add("model", net).add("value", value);
    return result;
  }
  // The value that a new process would resume with.
  std::optional<Restored> resume() {
    value = -1;
    State live = state();
    return CheckpointManager(root.path(), kOptions).restore_latest(live);
  }

  test::TemporaryDirectory root;
  Net net;
  int64_t value = 0;
};

}  // namespace

TEST_CASE("A damaged newest checkpoint is passed over for the one before, and set aside") {
  Run run;
  SECTION("a flipped bit of the archive") {
    test::flip_bit(run.root / "e2/checkpoint.pt", fs::file_size(run.root / "e2/checkpoint.pt") / 2);
  }
  SECTION("a flipped bit of the table") { test::flip_bit(run.root / "e2/tensors.json", 100); }
  SECTION("a flipped bit of the manifest") { test::flip_bit(run.root / "e2/manifest.json", 100); }
  SECTION("a truncated archive") { fs::resize_file(run.root / "e2/checkpoint.pt", 1000); }
  const auto restored = run.resume();
  REQUIRE(restored);
  CHECK(run.value == 1);
  CHECK(restored->manifest.name == "e1");
  REQUIRE(restored->passed_over.size() == 1);
  CHECK(restored->passed_over[0].name == "e2.corrupt");
  CHECK(contains(restored->passed_over[0].reason, "e2"));
  CHECK(fs::exists(run.root / "e2.corrupt/checkpoint.pt"));

  // The next save comes after the damaged one in the order, and takes its name.
  CheckpointManager manager(run.root.path(), kOptions);
  State live = run.state();
  CHECK(manager.save(live, {2}) == "e2");
  CHECK(manager.latest()->manifest.sequence == 4);
}

TEST_CASE("A checkpoint that lacks a file is passed over, and never renamed") {
  Run run;
  const std::string file = GENERATE("checkpoint.pt", "tensors.json", "manifest.json");
  fs::remove(run.root / ("e2/" + file));
  REQUIRE(run.resume());
  CHECK(run.value == 1);
  CHECK(fs::exists(run.root / "e2"));
}

TEST_CASE("Nothing whole among some is an error, and not a fresh start") {
  Run run;
  for (const char* name : {"e0", "e1", "e2"}) {
    test::flip_bit(run.root / (std::string(name) + "/checkpoint.pt"), 500);
  }
  const std::string first = error_of([&] { run.resume(); });
  CHECK(contains(first, "corrupt: "));
  CHECK(contains(first, "e0.corrupt"));
  CHECK(contains(first, "e2.corrupt"));
  // Set aside they count as well.
  CHECK(contains(error_of([&] { run.resume(); }), "set aside as damaged earlier"));
  CHECK(run.value == -1);
}

TEST_CASE("A checkpoint that does not fit is an error, and none older is tried") {
  Run run;
  State other;
  torch::nn::Linear linear(2, 2);
  other.add("model", linear).add("value", run.value);
  run.value = -1;
  CheckpointManager manager(run.root.path(), kOptions);
  CHECK(contains(error_of([&] { manager.restore_latest(other); }), "incompatible: "));
  CHECK(run.value == -1);
  CHECK(test::names_in(run.root.path()) ==
        std::vector<std::string>{".lock", "e0", "e1", "e2", "history.jsonl", "latest"});
}

TEST_CASE("restore and verify of a damaged checkpoint throw, and change nothing") {
  Run run;
  test::flip_bit(run.root / "e2/checkpoint.pt", 500);
  CheckpointManager manager(run.root.path(), kOptions);
  const auto before = test::copies_of(*run.net);
  run.value = -1;
  State live = run.state();
  CHECK(contains(error_of([&] { manager.restore(live, "e2"); }), "corrupt: "));
  CHECK(contains(error_of([&] { manager.verify("e2"); }), "corrupt: "));
  manager.verify("e1");
  CHECK(run.value == -1);
  CHECK(test::unchanged(*run.net, before));
  CHECK(fs::exists(run.root / "e2"));
}

TEST_CASE("Every bit that is turned over in a checkpoint is found") {
  Run run;
  CheckpointManager manager(run.root.path(), kOptions);
  for (const char* file : {"checkpoint.pt", "tensors.json", "manifest.json"}) {
    const std::string path = run.root / (std::string("e2/") + file);
    const std::string content = test::read_file(path);
    for (size_t byte = 0; byte < content.size(); byte += 41) {
      test::flip_bit(path, byte, static_cast<int>(byte % 8));
      if (!contains(error_of([&] { manager.verify("e2"); }), "corrupt: ")) {
        FAIL(file << ", byte " << byte);
      }
      test::write_file(path, content);
    }
  }
  manager.verify("e2");
}

TEST_CASE("Retention keeps the older ones if the new one cannot be read back") {
  // Simulated: the archive of the newest is damaged between its save and the next one's retention.
  Run run;
  CheckpointManager manager(run.root.path(),
                            CheckpointManagerOptions().name("e{epoch}").keep_last(2));
  State live = run.state();
  manager.save(live, {3});
  CHECK(manager.list().size() == 2);
  // A damaged manifest is not counted among those kept, and not removed either.
  test::flip_bit(run.root / "e3/manifest.json", 50);
  manager.save(live, {4});
  const auto left = test::names_in(run.root.path());
  CHECK(left == std::vector<std::string>{".lock", "e2", "e3", "e4", "history.jsonl", "latest"});
}

TEST_CASE("The link latest is for people: the library never trusts it") {
  Run run;
  fs::remove(run.root / "latest");
  fs::create_directory_symlink("e0", run.root / "latest");
  REQUIRE(run.resume());
  CHECK(run.value == 2);
}
