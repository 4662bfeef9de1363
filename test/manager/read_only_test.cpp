#include "manager/manager_access.h"
#include "support/catch.h"
#include "support/error_of.h"
#include "support/faulty_file_system.h"
#include "support/number.h"
#include "support/temporary_directory.h"

#include "store/directory/retire.h"

#include <fcntl.h>

#include <cerrno>
#include <filesystem>
#include <functional>
#include <utility>

using namespace checkpoint;
using test::Number;
namespace fs = std::filesystem;

namespace {

CheckpointManagerOptions by_epoch() { return CheckpointManagerOptions().name("e{epoch}"); }
CheckpointManagerOptions looking() { return CheckpointManagerOptions().read_only(true); }

// A place where files can be read, and none can be made.
class ReadOnlyPlace final : public test::FaultyFileSystem {
 public:
  explicit ReadOnlyPlace(int reason) : reason_(reason) {}
  int open(const char* path, int flags, mode_t mode) override {
    if ((flags & O_ACCMODE) == O_RDONLY) return test::FaultyFileSystem::open(path, flags, mode);
    errno = reason_;
    return -1;
  }
  int mkdir(const char* path, mode_t) override {
    errno = fs::exists(path) ? EEXIST : reason_;
    return -1;
  }

 private:
  int reason_;
};

// Runs a test's own code once, right before a file of a given checkpoint is opened.
class OnOpen final : public test::FaultyFileSystem {
 public:
  std::string ending;
  std::function<void()> action;
  int open(const char* path, int flags, mode_t mode) override {
    const std::string text = path;
    if (action && text.size() >= ending.size() &&
        text.compare(text.size() - ending.size(), ending.size(), ending) == 0) {
      std::exchange(action, nullptr)();
    }
    return test::FaultyFileSystem::open(path, flags, mode);
  }
};

}  // namespace

TEST_CASE("A read-only manager restores beside the writer, and makes no file") {
  const test::TemporaryDirectory root;
  Number number(7);
  {
    CheckpointManager nothing(root / "run", looking());
    CHECK_FALSE(nothing.restore_latest(number.state));
    CHECK(nothing.list().empty());
    CHECK_FALSE(fs::exists(root / "run"));
  }
  CheckpointManager writer(root / "run", by_epoch().keep_last(2));
  writer.save(number.state, {0});
  const auto before = test::names_in(root / "run");
  Number other;
  CheckpointManager reader(root / "run", looking());
  CHECK(reader.restore_latest(other.state)->manifest.name == "e0");
  CHECK(other.value == 7);
  CHECK(reader.restore_best(other.state) == std::nullopt);
  reader.restore(other.state, "e0");
  reader.verify("e0");
  CHECK(reader.prune(DryRun::kYes).kept.size() == 1);
  CHECK(test::names_in(root / "run") == before);

  for (const std::string& error :
       {error_of([&] { reader.save(other.state, {1}); }),
        error_of([&] { reader.save_if_due(other.state, {1}); }),
        error_of([&] { reader.pin("e0"); }), error_of([&] { reader.unpin("e0"); }),
        error_of([&] { reader.prune(DryRun::kNo); })}) {
    CHECK(contains(error, "invalid_argument: "));
    CHECK(contains(error, "read-only"));
  }
  CHECK(test::names_in(root / "run") == before);
  writer.save(number.state, {1});
}

TEST_CASE("A read-only manager passes damaged ones over, and never renames them") {
  const test::TemporaryDirectory root;
  Number number;
  {
    CheckpointManager writer(root.path(), by_epoch());
    for (number.value = 0; number.value < 3; ++number.value) {
      writer.save(number.state, {number.value});
    }
  }
  test::flip_bit(root / "e2/checkpoint.pt", 500);
  test::flip_bit(root / "e1/manifest.json", 50);
  const auto before = test::names_in(root.path());
  CheckpointManager reader(root.path(), looking());
  const auto restored = reader.restore_latest(number.state);
  REQUIRE(restored);
  CHECK(number.value == 0);
  REQUIRE(restored->skipped.size() == 2);
  CHECK(restored->skipped[0].name == "e2");
  CHECK(restored->skipped[1].name == "e1");
  test::flip_bit(root / "e0/checkpoint.pt", 500);
  CHECK(contains(error_of([&] { reader.restore_latest(number.state); }), "corrupt: "));
  CHECK(test::names_in(root.path()) == before);
}

TEST_CASE("A checkpoint that vanishes under a reader is no damage: it looks again") {
  const test::TemporaryDirectory root;
  Number number;
  CheckpointManager writer(root.path(), by_epoch().keep_last(1).keep_best(1, "acc", Mode::kMax));
  number.value = 1;
  writer.save(number.state, {1, 0, 0, {{"acc", 0.5}}});
  OnOpen on_open;
  CheckpointManager reader = internal::ManagerAccess::open(on_open, root.path(), looking());
  Number other;
  const std::string file = GENERATE("manifest.json", "checkpoint.pt", "tensors.json");
  on_open.ending = "e1/" + file;
  number.value = 2;

  SECTION("gone, and a newer one there") {
    on_open.action = [&] { writer.save(number.state, {2, 0, 0, {{"acc", 0.6}}}); };
    const auto restored = reader.restore_latest(other.state);
    REQUIRE(restored);
    CHECK(restored->name() == "e2");
    CHECK(restored->skipped.empty());
  }
  SECTION("another one under the same name") {
    on_open.action = [&] {
      const store::Directory directory(store::posix_file_system(), root.path());
      REQUIRE(store::retire(directory, "e1"));
      writer.save(number.state, {1, 0, 0, {{"acc", 0.6}}});
    };
    const auto restored = reader.restore_latest(other.state);
    REQUIRE(restored);
    CHECK(restored->name() == "e1");
    CHECK(restored->skipped.empty());
    // The old one, if its archive was open by then, or the new one: never a mixture.
    const bool is_old = restored->progress().metrics.at("acc") == 0.5;
    CHECK(other.value == (is_old ? 1 : 2));
    return;
  }
  SECTION("the best") {
    on_open.action = [&] { writer.save(number.state, {2, 0, 0, {{"acc", 0.6}}}); };
    CheckpointManager by_metric = internal::ManagerAccess::open(
        on_open, root.path(), looking().keep_best(1, "acc", Mode::kMax));
    const auto restored = by_metric.restore_best(other.state);
    REQUIRE(restored);
    CHECK(restored->name() == "e2");
  }
  CHECK(other.value == 2);
}

TEST_CASE("restore_latest where nothing may be written names read_only") {
  const test::TemporaryDirectory root;
  Number number(7);
  CheckpointManager(root / "run", by_epoch()).save(number.state, {0});
  ReadOnlyPlace place(GENERATE(EROFS, EACCES, EPERM));
  const auto restore = [&](const std::string& name, const CheckpointManagerOptions& options) {
    Number other;
    CheckpointManager manager = internal::ManagerAccess::open(place, root / name, options);
    const bool restored = manager.restore_latest(other.state).has_value();
    return restored ? other.value : 0;
  };
  const std::string error = error_of([&] { restore("run", by_epoch()); });
  CHECK(contains(error, "io: "));
  CHECK(contains(error, "read_only(true)"));
  CHECK(contains(error, root / "run"));
  CHECK(restore("run", looking()) == 7);
  // A read-only manager would find nothing if the directory does not exist.
  CHECK_FALSE(contains(error_of([&] { restore("new", by_epoch()); }), "read_only(true)"));
  // The hint about read_only is not for a program that saves.
  CheckpointManager manager = internal::ManagerAccess::open(place, root / "run", by_epoch());
  CHECK_FALSE(contains(error_of([&] { manager.save(number.state, {1}); }), "read_only(true)"));
}

TEST_CASE("Options of a read-only manager that ask for saves are refused") {
  CHECK(contains(error_of([] { CheckpointManager("d", looking().stop_on_signal({15})); }),
                 "invalid_argument: "));
}
