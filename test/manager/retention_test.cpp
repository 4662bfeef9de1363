#include "support/catch.h"
#include "support/error_of.h"
#include "support/number.h"
#include "support/save_count.h"
#include "support/temporary_directory.h"

#include <checkpoint/checkpoint.h>

#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <cmath>
#include <filesystem>
#include <iterator>
#include <set>
#include <thread>

using namespace checkpoint;
using test::names;
using test::Number;
namespace fs = std::filesystem;

namespace {

using Names = std::vector<std::string>;

const double kNone = std::nan("");

CheckpointManagerOptions by_epoch() { return CheckpointManagerOptions().name("e{epoch}"); }

Progress scored(int64_t epoch, double accuracy, double loss = 0) {
  return {epoch, epoch * 10, loss, {{"acc", accuracy}}};
}

}  // namespace

TEST_CASE("The rules' union stays, and what was removed went after the new one was there") {
  const test::TemporaryDirectory root;
  const auto options = by_epoch()
                           .keep_last(2)
                           .keep_best(1, "acc", Mode::kMax)
                           .keep_best(1, "loss", Mode::kMin)
                           .keep_every_n_epochs(4)
                           .keep_if([](const Manifest& m) { return m.progress.epoch == 2; });
  Number number;
  CheckpointManager manager(root.path(), options);
  const double accuracies[] = {0.1, 0.9, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7};
  const double losses[] = {9, 8, 7, 6, 1, 5, 4, 3};
  for (int64_t epoch = 0; epoch < 8; ++epoch) {
    manager.save(number.state, scored(epoch, accuracies[epoch], losses[epoch]));
  }
  // e1: accuracy; e2: keep_if; e3, e7: epochs; e4: loss; e6, e7: last.
  const Names expected{"e1", "e2", "e3", "e4", "e6", "e7"};
  CHECK(names(manager) == expected);
  CHECK(fs::read_symlink(root / "best") == "e1");
  CHECK(fs::read_symlink(root / "latest") == "e7");

  const auto reasons = manager.list()[3].reasons;
  CHECK(reasons == Names{"keep_best(1, loss, min): rank 1"});
  // The same from a second process, and after a move.
  fs::rename(root.path(), root.path() + "-moved");
  const CheckpointManager other(root.path() + "-moved", options);
  CHECK(names(other) == expected);
  CHECK(other.list()[3].reasons == reasons);
  CHECK(other.best()->name == "e1");
  fs::rename(root.path() + "-moved", root.path());
}

TEST_CASE("best knows each metric that keep_best names, and says what it does not know") {
  const test::TemporaryDirectory root;
  Number number;
  CheckpointManager manager(
      root.path(), by_epoch().keep_best(3, "acc", Mode::kMax).keep_best(3, "loss", Mode::kMin));
  CHECK_FALSE(manager.best());
  CHECK_FALSE(manager.restore_best(number.state));
  manager.save(number.state, scored(0, kNone, kNone));
  CHECK_FALSE(manager.best());
  CHECK_FALSE(fs::exists(fs::symlink_status(root / "best")));
  number.value = 1;
  manager.save(number.state, scored(1, 0.5, 3));
  number.value = 2;
  manager.save(number.state, scored(2, 0.4, 1));
  CHECK(manager.best()->name == "e1");
  CHECK(manager.best("acc")->name == "e1");
  CHECK(manager.best("acc", Mode::kMin)->name == "e2");
  CHECK(manager.best("loss")->name == "e2");
  CHECK(contains(error_of([&] { manager.best("f1"); }), "invalid_argument: "));
  CHECK_FALSE(manager.best("f1", Mode::kMax));
  CHECK(manager.restore_best(number.state)->manifest.name == "e1");
  CHECK(number.value == 1);
  CHECK(manager.restore_best(number.state, "loss")->manifest.name == "e2");
  CHECK(number.value == 2);
  // Without a keep_best: the lowest loss.
  CHECK(CheckpointManager(root.path()).best()->name == "e2");
  CHECK(manager.list()[0].missing_metrics == Names{"acc", "loss"});
  CHECK(manager.list()[1].missing_metrics.empty());
}

TEST_CASE("restore_best passes a damaged one over, and leaves it where it is") {
  const test::TemporaryDirectory root;
  Number number;
  const auto options = by_epoch().keep_best(3, "acc", Mode::kMax);
  {
    CheckpointManager manager(root.path(), options);
    for (int64_t epoch = 0; epoch < 3; ++epoch) {
      number.value = epoch;
      manager.save(number.state, scored(epoch, 0.9 - 0.1 * static_cast<double>(epoch)));
    }
  }
  test::flip_bit(root / "e0/checkpoint.pt", 500);
  CheckpointManager manager(root.path(), options);
  const auto restored = manager.restore_best(number.state);
  REQUIRE(restored);
  CHECK(restored->name() == "e1");
  CHECK(number.value == 1);
  REQUIRE(restored->skipped.size() == 1);
  CHECK(restored->skipped[0].name == "e0");
  CHECK(fs::exists(root / "e0"));
  test::flip_bit(root / "e1/checkpoint.pt", 500);
  test::flip_bit(root / "e2/checkpoint.pt", 500);
  CHECK(contains(error_of([&] { manager.restore_best(number.state); }), "corrupt: "));
}

TEST_CASE("The link best is made where keep_best says what is best, and never over anything") {
  const test::TemporaryDirectory root;
  Number number;
  CheckpointManager(root.path(), by_epoch()).save(number.state, scored(0, 0.5, 0.1));
  CHECK_FALSE(fs::exists(root / "best"));
  test::write_file(root / "best", "mine");
  CheckpointManager(root.path(), by_epoch().keep_best(1, "acc", Mode::kMax))
      .save(number.state, scored(1, 0.6));
  CHECK(test::read_file(root / "best") == "mine");
}

TEST_CASE("A metric that is missing or NaN fails no save, and the log says so") {
  const test::TemporaryDirectory root;
  std::ostringstream text;
  auto logger = std::make_shared<spdlog::logger>(
      "torch_checkpoint", std::make_shared<spdlog::sinks::ostream_sink_mt>(text));
  spdlog::register_logger(logger);
  Number number;
  CheckpointManager manager(root.path(), by_epoch().keep_best(1, "acc", Mode::kMax));
  manager.save(number.state, scored(0, 0.5));
  manager.save(number.state, {1, 10});
  manager.save(number.state, scored(2, kNone));
  spdlog::drop("torch_checkpoint");
  CHECK(contains(text.str(), "[warning] checkpoint '" + (root / "e1") + "' has no acc"));
  CHECK(contains(text.str(), "[warning] checkpoint '" + (root / "e2") + "' has no acc"));
  CHECK_FALSE(contains(text.str(), (root / "e0") + "' has no"));
  CHECK(names(manager) == Names{"e0", "e2"});
}

TEST_CASE("A keep_best by a metric that no checkpoint has keeps all, and the log says so once") {
  const test::TemporaryDirectory root;
  std::ostringstream text;
  spdlog::register_logger(std::make_shared<spdlog::logger>(
      "torch_checkpoint", std::make_shared<spdlog::sinks::ostream_sink_mt>(text)));
  Number number;
  CheckpointManager manager(root.path(), by_epoch().keep_last(1).keep_best(1, "f1", Mode::kMax));
  for (int64_t epoch = 0; epoch < 4; ++epoch) manager.save(number.state, scored(epoch, 0.5));
  CHECK(names(manager) == Names{"e0", "e1", "e2", "e3"});
  CHECK(manager.prune(DryRun::kNo).removed.empty());
  CHECK_FALSE(manager.restore_best(number.state));
  const std::string logged = text.str();
  const size_t first = logged.find("[warning]");
  REQUIRE(first != std::string::npos);
  CHECK(contains(logged, "has the metric 'f1'"));
  CHECK(logged.find("[warning]", first + 1) == std::string::npos);
  // Once one has it, the rule decides.
  manager.save(number.state, {4, 40, 0, {{"f1", 0.5}}});
  manager.save(number.state, scored(5, 0.5));
  spdlog::drop("torch_checkpoint");
  CHECK(names(manager) == Names{"e4", "e5"});
  CHECK(contains(text.str(), (root / "e5") + "' has no f1"));
}

TEST_CASE("What the run was resumed from stays until the run after the next") {
  const test::TemporaryDirectory root;
  Number number;
  const auto options = by_epoch().keep_last(1);
  {
    CheckpointManager first(root.path(), options);
    first.save(number.state, {0});
  }
  {
    CheckpointManager second(root.path(), options);
    REQUIRE(second.restore_latest(number.state));
    for (int64_t epoch = 1; epoch < 5; ++epoch) second.save(number.state, {epoch});
    CHECK(names(second) == Names{"e0", "e4"});
    // Another process knows it from the manifest.
    CHECK(CheckpointManager(root.path(), options).prune(DryRun::kYes).removed.empty());
  }
  CheckpointManager third(root.path(), options);
  REQUIRE(third.restore_latest(number.state));
  // Not saved yet: e4's own parent stays as well.
  CHECK(third.prune(DryRun::kNo).removed.empty());
  third.save(number.state, {5});
  CHECK(names(third) == Names{"e4", "e5"});
}

TEST_CASE("prune says what would go, and why the others stay, and does just that") {
  const test::TemporaryDirectory root;
  Number number;
  {
    CheckpointManager all(root.path(), by_epoch());
    for (int64_t epoch = 0; epoch < 6; ++epoch) {
      all.save(number.state, scored(epoch, epoch == 1 ? 0.9 : 0.1));
    }
    CHECK(all.prune(DryRun::kNo).removed.empty());
  }
  test::flip_bit(root / "e0/manifest.json", 50);
  test::write_file(root / "e2/notes.txt", "mine");
  CheckpointManager manager(root.path(), by_epoch().keep_last(1).keep_best(1, "acc", Mode::kMax));
  manager.pin("e4");
  const PruneReport plan = manager.prune(DryRun::kYes);
  CHECK(plan.removed == Names{"e3"});
  CHECK(plan.removed_bytes == manager.list()[3].manifest.total_bytes());
  REQUIRE(plan.kept.size() == 5);
  CHECK(contains(plan.kept[0].reasons.at(0), "damaged"));
  CHECK(contains(plan.kept[1].reasons.at(0), "keep_best(1, acc, max): rank 1"));
  CHECK(contains(plan.kept[2].reasons.at(0), "did not write"));
  CHECK(plan.kept[3].reasons == Names{"pinned"});
  CHECK(plan.kept[4].reasons == Names{"newest", "keep_last(1)"});
  CHECK(contains(plan.to_string(), "goes   e3\nstays  e0: damaged"));
  CHECK(contains(plan.to_string(), "stays  e5: newest, keep_last(1)\n"));
  CHECK(names(manager).size() == 6);
  const PruneReport done = manager.prune(DryRun::kNo);
  CHECK(done.to_string() == plan.to_string());
  CHECK(names(manager) == Names{"e0", "e1", "e2", "e4", "e5"});

  CheckpointManager other(root.path(), by_epoch().keep_last(1));
  CHECK(contains(error_of([&] { other.prune(DryRun::kNo); }), "locked: "));
  CHECK(other.prune(DryRun::kYes).removed == Names{"e1"});
}

TEST_CASE("Nothing is removed while none that stays can be read back") {
  const test::TemporaryDirectory root;
  Number number;
  {
    CheckpointManager all(root.path(), by_epoch());
    for (int64_t epoch = 0; epoch < 3; ++epoch) all.save(number.state, {epoch});
  }
  test::flip_bit(root / "e2/checkpoint.pt", 500);
  {
    CheckpointManager manager(root.path(), by_epoch().keep_last(1));
    const PruneReport report = manager.prune(DryRun::kNo);
    CHECK(report.removed.empty());
    CHECK(contains(report.kept.at(0).reasons.at(0), "read back"));
    CHECK(names(manager).size() == 3);
  }
  CheckpointManager trusting(root.path(), by_epoch().keep_last(1).verify_before_retire(false));
  CHECK(trusting.prune(DryRun::kNo).removed == Names{"e0", "e1"});
}

TEST_CASE("A pin holds against retention, from another manager, until it is taken away") {
  const test::TemporaryDirectory root;
  Number number;
  CheckpointManager manager(root.path(), by_epoch().keep_last(1));
  CheckpointManager other(root.path());
  manager.save(number.state, {0});
  other.pin("e0");
  manager.save(number.state, {1});
  manager.save(number.state, {2});
  CHECK(names(manager) == Names{"e0", "e2"});
  CHECK(manager.list()[0].pinned);
  CHECK_FALSE(manager.list()[1].pinned);
  CHECK(manager.list()[0].reasons == Names{"pinned"});
  CHECK(other.unpin("e0"));
  CHECK_FALSE(other.unpin("e0"));
  CHECK(names(manager) == Names{"e0", "e2"});
  CHECK(manager.list()[0].reasons.empty());
  manager.save(number.state, {3});
  CHECK(names(manager) == Names{"e3"});
  CHECK(contains(error_of([&] { other.pin("e0"); }), "not_found: "));
}

TEST_CASE("A predicate that throws costs no checkpoint") {
  const test::TemporaryDirectory root;
  Number number;
  CheckpointManager manager(
      root.path(), by_epoch().keep_last(1).keep_if(
                       [](const Manifest&) -> bool { throw std::runtime_error("broken"); }));
  manager.save(number.state, {0});
  manager.save(number.state, {1});
  CHECK(CheckpointManager(root.path()).list().size() == 2);
  CHECK_THROWS_AS(manager.prune(DryRun::kYes), std::runtime_error);
}

TEST_CASE("TensorBoard's files and others beside ours are left alone, whatever is removed") {
  const test::TemporaryDirectory root;
  const std::string events = "events.out.tfevents.1764000000.host.1.0";
  fs::create_directories(root / "lightning_logs/version_0");
  test::write_file(root / ("lightning_logs/version_0/" + events), "events");
  test::write_file(root / events, "events");
  fs::create_directory(root / "epoch9999");  // Empty, and named as ours would be.
  fs::create_directories(root / ".pins/logs");
  test::write_file(root / (".pins/" + events), "events");
  Number number;
  CheckpointManager manager(root.path(), by_epoch().keep_last(1).keep_best(1, "acc", Mode::kMax));
  for (int64_t epoch = 0; epoch < 5; ++epoch) manager.save(number.state, scored(epoch, 0.5));
  manager.pin("e0");
  manager.unpin("e0");
  manager.prune(DryRun::kNo);
  CHECK(names(manager) == Names{"e0", "e4"});
  CHECK(test::read_file(root / ("lightning_logs/version_0/" + events)) == "events");
  CHECK(test::read_file(root / events) == "events");
  CHECK(fs::is_directory(root / "epoch9999"));
  CHECK(test::names_in(root / ".pins") == Names{events, "logs"});
}

TEST_CASE("Links beside ours, and inside, lead retention nowhere") {
  const test::TemporaryDirectory root, elsewhere;
  const std::string files[] = {".torch-checkpoint", "checkpoint.pt", "manifest.json"};
  for (const std::string& file : files) test::write_file(elsewhere / file, "precious");
  Number number;
  CheckpointManager manager(root.path(), by_epoch().keep_last(1));
  manager.save(number.state, {0});
  fs::create_directory_symlink(elsewhere.path(), root / ".retired-link");
  fs::create_directory_symlink(elsewhere.path(), root / ".retiring-link");
  fs::create_directory_symlink(elsewhere.path(), root / "e5");
  fs::create_symlink(elsewhere / "manifest.json", root / "e0/link");
  manager.save(number.state, {1});
  manager.save(number.state, {2});
  CHECK(names(manager) == Names{"e0", "e2"});
  CHECK(test::names_in(elsewhere.path()) == Names(std::begin(files), std::end(files)));
  CHECK(contains(error_of([&] { manager.pin("e5"); }), "not_found: "));
}

TEST_CASE("Pins, list and best from other threads while one saves") {
  const test::TemporaryDirectory root;
  Number number;
  CheckpointManager manager(root.path(), by_epoch().keep_last(3).keep_best(2, "acc", Mode::kMax));
  manager.save(number.state, scored(0, 0.5));
  std::atomic<bool> done{false};
  std::atomic<int> looks{0};
  test::SaveCount saves;
  std::set<std::string> pinned;
  std::vector<std::thread> threads;
  threads.emplace_back([&] {
    while (!done) {
      for (const CheckpointInfo& info : manager.list()) {
        if (!info.damage.empty()) throw std::runtime_error(info.damage);
      }
      if (!manager.latest() || !manager.best()) throw std::runtime_error("nothing there");
      ++looks;
    }
  });
  threads.emplace_back([&] {
    while (!done) {
      const std::string name = manager.list().front().name;
      try {
        manager.pin(name);
        pinned.insert(name);
      } catch (const Error& error) {
        if (error.code() != ErrorCode::kNotFound) throw;
      }
      saves.wait_for_saves(4);
    }
  });
  for (int64_t epoch = 1; epoch < 60; ++epoch) {
    manager.save(number.state, scored(epoch, std::sin(static_cast<double>(epoch))));
    saves.note();
  }
  done = true;
  saves.end();
  for (std::thread& thread : threads) thread.join();
  CHECK(looks > 0);
  const Names left = names(manager);
  for (const std::string& name : pinned) {
    INFO(name);
    CHECK(std::find(left.begin(), left.end(), name) != left.end());
  }
}

TEST_CASE("remove takes one checkpoint away, whatever the rules say") {
  const test::TemporaryDirectory root;
  double value = 0;
  State state;
  state.add("value", value);
  const auto options = CheckpointManagerOptions().name("e{epoch}").keep_best(5, "loss", Mode::kMin);
  const auto save = [&](CheckpointManager& manager, int64_t epoch, double loss) {
    value = static_cast<double>(epoch);
    return manager.save(state, {epoch, 0, loss});
  };
  {
    CheckpointManager manager(root.path(), options);
    for (const auto& [epoch, loss] : {std::pair<int64_t, double>{0, 3}, {1, 1}, {2, 2}}) {
      save(manager, epoch, loss);
    }
    CHECK(fs::read_symlink(root / "best") == "e1");
    manager.remove("e1");
    CHECK(fs::read_symlink(root / "best") == "e2");
    manager.remove("e2");
    CHECK(fs::read_symlink(root / "latest") == "e0");
    CHECK(fs::read_symlink(root / "best") == "e0");
    CHECK(manager.list().size() == 1);

    // What was saved last is gone: the end of the loop saves it again, in a place of its own.
    CHECK(manager.save_final(state, {2, 0, 2}) == "e2");
    CHECK(manager.latest()->manifest.sequence == 4);
    manager.remove("e2");
  }
  CheckpointManager manager(root.path(), options);
  CHECK(manager.restore_latest(state)->manifest.name == "e0");
  CHECK(value == 0);
  save(manager, 1, 1);
  CHECK(manager.latest()->manifest.sequence == 5);

  SECTION("a pinned one stays") {
    manager.pin("e0");
    CHECK(contains(error_of([&] { manager.remove("e0"); }),
                   "invalid_argument: not removed: this checkpoint is pinned"));
    manager.verify("e0");
  }
  SECTION("one with somebody's files in it stays") {
    test::write_file(root / "e0/notes.txt", "mine");
    CHECK(
        contains(error_of([&] { manager.remove("e0"); }), "files that this library did not write"));
    manager.verify("e0");
  }
  SECTION("names of nothing are errors") {
    CHECK(contains(error_of([&] { manager.remove("e7"); }), "not_found: "));
    for (const char* name : {"", ".", "..", "../e0", "latest", ".lock", "history.jsonl"}) {
      INFO(name);
      CHECK(error_of([&] { manager.remove(name); }).find("io: ") == std::string::npos);
      CHECK_FALSE(error_of([&] { manager.remove(name); }).empty());
    }
    CHECK(manager.list().size() == 2);
  }
  SECTION("a damaged one goes, and one that was set aside") {
    test::flip_bit(root / "e1/checkpoint.pt", 100);
    CHECK(manager.restore_latest(state)->manifest.name == "e0");
    REQUIRE(fs::exists(root / "e1.corrupt"));
    manager.remove("e1.corrupt");
    CHECK_FALSE(fs::exists(root / "e1.corrupt"));
    test::flip_bit(root / "e0/manifest.json", 100);
    manager.remove("e0");
    CHECK(manager.list().empty());
  }
  SECTION("a reader removes nothing") {
    CheckpointManager reader(root.path(), CheckpointManagerOptions().read_only(true));
    CHECK(contains(error_of([&] { reader.remove("e0"); }), "read-only"));
  }
  SECTION("the last one goes, and a new run may begin there") {
    manager.remove("e0");
    manager.remove("e1");
    CHECK_FALSE(fs::is_symlink(root / "latest"));
    CHECK_FALSE(fs::is_symlink(root / "best"));
    CHECK_FALSE(manager.restore_latest(state));
    CHECK(save(manager, 0, 1) == "e0");
    CHECK(manager.latest()->manifest.sequence == 6);
    // But what goes by itself afterwards is missed.
    fs::remove_all(root / "e0");
    CHECK(contains(error_of([&] { manager.restore_latest(state); }), "history.jsonl"));
  }
}
