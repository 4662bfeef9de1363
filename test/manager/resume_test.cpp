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
  CHECK(restored->name() == "e1");
  REQUIRE(restored->skipped.size() == 1);
  CHECK(restored->skipped[0].name == "e2.corrupt");
  CHECK(contains(restored->skipped[0].reason, "e2"));
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

namespace {

// Removes the files that record earlier checkpoints: a test wants to see other signs of them.
void forget_history(const Run& run) {
  fs::remove(run.root / "history.jsonl");
  fs::remove(run.root / "latest");
}

}  // namespace

TEST_CASE("A run whose checkpoints cannot be seen does not start from scratch") {
  Run run;
  for (const char* name : {"e0", "e1"}) fs::remove_all(run.root / name);
  forget_history(run);
  const test::TemporaryDirectory disk;
  std::string sign;
  SECTION("a hidden name") {
    fs::rename(run.root / "e2", run.root / ".e2");
    sign = ".e2: a checkpoint with a hidden name";
  }
  SECTION("a removal that was begun") {
    fs::rename(run.root / "e2", run.root / ".retiring-e2");
    sign = "rename it to 'e2'";
  }
  SECTION("a link to it") {
    fs::rename(run.root / "e2", disk / "e2");
    fs::create_directory_symlink(disk / "e2", run.root / "e2");
    sign = "e2: a link to a checkpoint";
  }
  SECTION("a copy without its hidden files, and its manifest damaged") {
    fs::remove(run.root / "e2/.torch-checkpoint");
    test::flip_bit(run.root / "e2/manifest.json", 200);
    sign = "the manifest is damaged";
  }
  SECTION("such a copy, that was set aside") {
    fs::remove(run.root / "e2/.torch-checkpoint");
    fs::rename(run.root / "e2", run.root / "e2.corrupt");
    sign = "e2.corrupt: set aside as damaged earlier";
  }
  SECTION("a copy of which only the large files are there") {
    fs::remove(run.root / "e2/.torch-checkpoint");
    fs::remove(run.root / "e2/manifest.json");
    sign = "manifest.json";
  }
  const std::string error = error_of([&] { run.resume(); });
  CHECK(contains(error, sign));
  CHECK(contains(error, "To start from scratch"));
  State live = run.state();
  CheckpointManager reader(run.root.path(), CheckpointManagerOptions(kOptions).read_only(true));
  CHECK(contains(error_of([&] { reader.restore_latest(live); }), "To start from scratch"));
  CHECK(contains(error_of([&] { reader.restore_best(live); }), "To start from scratch"));
  CHECK(run.value == -1);
}

TEST_CASE("A run whose checkpoints are gone does not start from scratch while something tells") {
  Run run;
  for (const char* name : {"e0", "e1", "e2"}) fs::remove_all(run.root / name);
  const std::string error = error_of([&] { run.resume(); });
  CHECK(contains(error, "not_found: "));
  CHECK(contains(error, "history.jsonl: says that checkpoints were saved here"));
  CHECK(contains(error, "'e2', but they are gone"));
  CHECK(contains(error, "latest: a link that leads nowhere, to 'e2'"));
  forget_history(run);
  CHECK_FALSE(run.resume());
}

TEST_CASE("The directory above a run, and a checkpoint itself, are no runs to start") {
  Run run;
  State live = run.state();
  const test::TemporaryDirectory runs;
  fs::rename(run.root.path(), runs / "digits");
  const std::string above =
      error_of([&] { CheckpointManager(runs.path(), kOptions).restore_latest(live); });
  CHECK(contains(above, "digits: a directory that holds checkpoints ('e0')"));
  CHECK(contains(above, "name '" + (runs / "digits") + "' as the directory"));
  const std::string below =
      error_of([&] { CheckpointManager(runs / "digits/e1", kOptions).restore_latest(live); });
  CHECK(contains(below, "this directory is a checkpoint itself"));
  CHECK(contains(below, "'" + (runs / "digits") + "'"));
}

TEST_CASE("A directory that is a link to nowhere is an error for every manager") {
  const test::TemporaryDirectory root;
  Run run;
  State live = run.state();
  fs::create_directory_symlink("unmounted", root / "disk");
  for (const char* path : {"disk", "disk/", "disk/run"}) {
    for (const bool read_only : {false, true}) {
      CheckpointManager manager(root / path, CheckpointManagerOptions().read_only(read_only));
      const std::string error = error_of([&] { manager.restore_latest(live); });
      CHECK(contains(error, "this link leads nowhere (unmounted)"));
      CHECK(contains(error, "Mount or create"));
    }
  }
  CHECK_FALSE(fs::exists(root / "unmounted"));
}

TEST_CASE("What is beside a run, and no checkpoint, hinders no start") {
  const test::TemporaryDirectory root;
  Run run;
  State live = run.state();
  fs::create_directories(root / "tensorboard/run1");
  test::write_file(root / "tensorboard/run1/events", "events");
  fs::create_directory(root / "web");
  test::write_file(root / "web/manifest.json", "{\"name\": \"a web app\"}");
  test::write_file(root / "pretrained.pt", "weights");
  test::write_file(root / "train.log", "log");
  fs::create_directory(root / ".git");
  fs::create_directory_symlink("web", root / "site");
  fs::create_directory(root / ".staging-0123456789abcdef");
  CHECK_FALSE(CheckpointManager(root.path(), kOptions).restore_latest(live));
}

TEST_CASE("resume says with which epoch a loop goes on") {
  const test::TemporaryDirectory root;
  double value = 0;
  State state;
  state.add("value", value);
  std::vector<int64_t> trained;
  // What a program does from its start to its end, or to where it is killed.
  const auto train = [&](int64_t epochs, int64_t killed_before) {
    CheckpointManager manager(root.path(), CheckpointManagerOptions(kOptions).every_n_epochs(2));
    Progress progress;
    for (int64_t epoch = manager.resume(state, progress); epoch < epochs; ++epoch) {
      if (epoch == killed_before) return;
      trained.push_back(epoch);
      value = static_cast<double>(epoch);
      progress.epoch = epoch;
      progress.step += 10;
      manager.save_if_due(state, progress);
    }
    manager.save_final(state, progress);
  };
  train(7, 5);
  CHECK(trained == std::vector<int64_t>{0, 1, 2, 3, 4});
  trained.clear();
  train(7, -1);
  CHECK(trained == std::vector<int64_t>{4, 5, 6});
  CHECK(CheckpointManager(root.path()).latest()->manifest.progress.step == 70);
  // Nothing is left to train, and nothing is saved.
  trained.clear();
  const size_t count = CheckpointManager(root.path()).list().size();
  value = -1;
  train(7, -1);
  CHECK(trained.empty());
  CHECK(value == 6);
  CHECK(CheckpointManager(root.path()).list().size() == count);
}

TEST_CASE("resume after a save in the middle of an epoch goes on with that epoch") {
  const test::TemporaryDirectory root;
  double value = 1;
  State state;
  state.add("value", value);
  {
    CheckpointManager manager(root.path(), kOptions);
    manager.save(state, {3, 35, 0.5, {{"accuracy", 0.9}}, false});
  }
  Progress progress;
  CHECK(CheckpointManager(root.path(), kOptions).resume(state, progress) == 3);
  CHECK(progress.step == 35);
  CHECK(progress.loss == 0.5);
  CHECK(progress.metrics.at("accuracy") == 0.9);
}
