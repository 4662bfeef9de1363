#include "support/catch.h"
#include "support/error_of.h"
#include "support/faulty_file_system.h"
#include "support/make_checkpoint.h"
#include "support/temporary_directory.h"

#include "store/directory/pins.h"
#include "store/directory/retire.h"

#include <atomic>
#include <filesystem>
#include <functional>
#include <thread>
#include <utility>

using namespace checkpoint;
using namespace checkpoint::store;
namespace fs = std::filesystem;

namespace {

// Runs a test's own code right before a chosen rename, or before a pin is made.
class Between final : public test::FaultyFileSystem {
 public:
  std::function<void()> before_rename = [] {};
  std::function<void()> before_pin;
  int renames = 0;
  int at = -1;

  int rename_noreplace(const char* from, const char* to) override {
    if (renames++ == at) before_rename();
    return test::FaultyFileSystem::rename_noreplace(from, to);
  }
  int open(const char* path, int flags, mode_t mode) override {
    if (before_pin && std::string(path).find("/.pins/") != std::string::npos) {
      std::exchange(before_pin, nullptr)();
    }
    return test::FaultyFileSystem::open(path, flags, mode);
  }
};

struct Fixture {
  Fixture() {
    for (const char* name : {"old", "new"}) test::make_checkpoint(real, name, name);
  }
  bool has(const std::string& name) const { return real.find(name).has_value(); }

  test::TemporaryDirectory root;
  Directory real{posix_file_system(), root.path()};
};

}  // namespace

TEST_CASE("A pin is an empty file, made and removed without the lock") {
  Fixture at;
  CHECK(read_pins(at.real).empty());
  pin(at.real, "old");
  pin(at.real, "old");
  CHECK(test::read_file(at.root / ".pins/old").empty());
  CHECK(read_pins(at.real) == std::set<std::string>{"old"});
  CHECK_FALSE(retire(at.real, "old"));
  CHECK(at.has("old"));
  CHECK(unpin(at.real, "old"));
  CHECK_FALSE(unpin(at.real, "old"));
  CHECK(retire(at.real, "old"));
  CHECK_FALSE(at.has("old"));
}

TEST_CASE("A pin of a missing checkpoint is refused, and leaves no file") {
  Fixture at;
  CHECK(contains(error_of([&] { pin(at.real, "gone"); }), "not_found: "));
  CHECK(contains(error_of([&] { pin(at.real, std::string(250, 'x')); }), "not_found: "));
  CHECK_FALSE(fs::exists(at.root / ".pins"));
  fs::create_directory(at.root / "tensorboard");
  CHECK(contains(error_of([&] { pin(at.real, "tensorboard"); }), "not_found: "));
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string("../old"),
        std::string("/tmp/x"), std::string("a/b"), std::string("latest"), std::string("best"),
        std::string(".lock"), std::string("old\0x", 5), std::string(256, 'x')}) {
    CHECK(contains(error_of([&] { pin(at.real, name); }), "invalid_argument: "));
    CHECK(contains(error_of([&] { unpin(at.real, name); }), "invalid_argument: "));
  }
  CHECK_FALSE(unpin(at.real, "gone"));
  CHECK_FALSE(fs::exists(at.root / ".pins"));
}

TEST_CASE("Foreign files among the pins are left alone, and mean nothing") {
  Fixture at;
  fs::create_directories(at.root / ".pins/events");
  test::write_file(at.root / ".pins/events/events.out.tfevents.1", "events");
  test::write_file(at.root / ".pins/events.out.tfevents.2", "events");
  test::write_file(at.root / ".pins/.hidden", "");
  fs::create_symlink("/etc", at.root / ".pins/etc");
  CHECK(read_pins(at.real).size() == 4);
  put_back_pinned(at.real);
  sweep(at.real);
  CHECK(retire(at.real, "old"));
  CHECK(test::names_in(at.root / ".pins") ==
        std::vector<std::string>{".hidden", "etc", "events", "events.out.tfevents.2"});
  CHECK(test::read_file(at.root / ".pins/events/events.out.tfevents.1") == "events");
}

TEST_CASE("A pin made by hand holds, whatever it is") {
  Fixture at;
  fs::create_directory(at.root / ".pins");
  SECTION("a file with content") { test::write_file(at.root / ".pins/old", "because"); }
  SECTION("a directory") { fs::create_directory(at.root / ".pins/old"); }
  SECTION("a dangling link") { fs::create_symlink("nowhere", at.root / ".pins/old"); }
  pin(at.real, "old");
  CHECK_FALSE(retire(at.real, "old"));
  CHECK(at.has("old"));
}

TEST_CASE("A link at the path of the pins is refused") {
  Fixture at;
  const test::TemporaryDirectory elsewhere;
  test::write_file(elsewhere / "old", "theirs");
  fs::create_directory_symlink(elsewhere.path(), at.root / ".pins");
  CHECK(contains(error_of([&] { pin(at.real, "old"); }), "io: "));
  CHECK(contains(error_of([&] { pin(at.real, "new"); }), "io: "));
  CHECK(contains(error_of([&] { unpin(at.real, "old"); }), "io: "));
  CHECK(contains(error_of([&] { read_pins(at.real); }), "io: "));
  CHECK(test::names_in(elsewhere.path()) == std::vector<std::string>{"old"});
}

TEST_CASE("A pin that comes while a removal is under way is seen, or says not_found") {
  Fixture at;
  Between between;
  const Directory writer(between, at.root.path());
  std::string pinned = "not tried";
  between.before_rename = [&] { pinned = error_of([&] { pin(at.real, "old"); }); };
  SECTION("before it begins") {
    between.at = 0;
    CHECK_FALSE(retire(writer, "old"));
    CHECK(pinned.empty());
    CHECK(at.has("old"));
  }
  SECTION("out of sight, and not yet decided") {
    between.at = 1;
    CHECK_FALSE(retire(writer, "old"));
    CHECK(pinned.empty());
    CHECK(at.has("old"));
  }
  SECTION("decided") {
    CHECK(retire(writer, "old"));
    between.before_rename();
    CHECK(contains(pinned, "not_found: "));
    CHECK(test::names_in(at.root.path()) == std::vector<std::string>{"new"});
  }
  for (const std::string& name : test::names_in(at.root.path())) {
    CHECK(name.rfind(".ret", 0) != 0);
  }
}

TEST_CASE("A removal that comes while a pin is under way is undone by it, or was first") {
  Fixture at;
  Between between;
  const Directory other(between, at.root.path());
  SECTION("begun, and not decided when the pin is there") {
    between.before_pin = [&] { fs::rename(at.root / "old", at.root / ".retiring-old"); };
    pin(other, "old");
    CHECK(at.has("old"));
    sweep(at.real);
    CHECK(at.has("old"));
  }
  SECTION("decided before the pin is there") {
    between.before_pin = [&] { CHECK(retire(at.real, "old")); };
    CHECK(contains(error_of([&] { pin(other, "old"); }), "not_found: "));
    CHECK(test::names_in(at.root / ".pins").empty());
  }
  SECTION("decided, and a new one of the same name has come") {
    between.before_pin = [&] {
      CHECK(retire(at.real, "old"));
      test::make_checkpoint(at.real, "old", "another");
    };
    pin(other, "old");
    CHECK(test::read_file(at.root / "old/checkpoint.pt") == "another");
    CHECK_FALSE(retire(at.real, "old"));
  }
}

TEST_CASE("A writer that dies in the middle of a removal costs no pinned checkpoint") {
  Fixture at;
  fs::rename(at.root / "old", at.root / ".retiring-old");
  SECTION("a pin brings it back by itself") {
    pin(at.real, "old");
    CHECK(at.has("old"));
  }
  SECTION("the next writer brings it back") {
    fs::create_directory(at.root / ".pins");
    test::write_file(at.root / ".pins/old", "");
    SECTION("when it begins") { put_back_pinned(at.real); }
    SECTION("when it sweeps") { sweep(at.real); }
    CHECK(at.has("old"));
  }
  SECTION("without a pin it goes") {
    sweep(at.real);
    CHECK(test::names_in(at.root.path()) == std::vector<std::string>{"new"});
  }
  SECTION("one whose name is taken is left alone") {
    test::make_checkpoint(at.real, "old", "another");
    pin(at.real, "old");
    put_back_pinned(at.real);
    sweep(at.real);
    CHECK(test::read_file(at.root / "old/checkpoint.pt") == "another");
    CHECK(test::read_file(at.root / ".retiring-old/checkpoint.pt") == "old");
  }
}

TEST_CASE("If a pin cannot be checked, nothing is removed") {
  Fixture at;
  for (int call = 0;; ++call) {
    test::FaultyFileSystem faulty;
    const Directory writer(faulty, at.root.path());
    faulty.fail(call, EIO);
    bool removed = false;
    try {
      removed = retire(writer, "old");
    } catch (const Error&) {
    }
    if (call >= static_cast<int>(faulty.calls().size())) {
      CHECK(removed);
      break;
    }
    INFO("call " << call << ", " << faulty.calls()[call]);
    if (faulty.calls()[call] == "lstat") CHECK(at.has("old"));
    sweep(at.real);
    if (!at.has("old")) test::make_checkpoint(at.real, "old", "old");
  }
}

TEST_CASE("Every failed call of pin leaves the checkpoint there, and pin or error") {
  for (int call = 0;; ++call) {
    Fixture at;
    test::FaultyFileSystem faulty;
    const Directory directory(faulty, at.root.path());
    faulty.fail(call, EIO);
    const std::string error = error_of([&] { pin(directory, "old"); });
    INFO("call " << call << ": " << error);
    CHECK(at.has("old"));
    if (error.empty()) CHECK(is_pinned(at.real, "old"));
    if (call >= static_cast<int>(faulty.calls().size())) break;
    pin(at.real, "old");
    CHECK_FALSE(retire(at.real, "old"));
  }
}

TEST_CASE("Pins and removals in a race: what pin has accepted is there for good") {
  const test::TemporaryDirectory root;
  const Directory directory(posix_file_system(), root.path());
  constexpr int kRounds = 300;
  int pinned = 0, gone = 0;
  for (int round = 0; round < kRounds; ++round) {
    const std::string name = "c" + std::to_string(round);
    test::make_checkpoint(directory, name, name);
    std::atomic<bool> go{false};
    bool accepted = false;
    std::thread other([&] {
      while (!go) {
      }
      for (int i = 0; i < round % 50; ++i) is_pinned(directory, name);  // Later and later.
      try {
        pin(directory, name);
        accepted = true;
      } catch (const Error& error) {
        if (error.code() != ErrorCode::kNotFound) throw;
      }
    });
    go = true;
    const bool removed = retire(directory, name);
    other.join();
    CHECK(accepted != removed);
    CHECK(directory.find(name).has_value() == accepted);
    CHECK(is_pinned(directory, name) == accepted);
    (accepted ? pinned : gone) += 1;
  }
  CHECK(pinned + gone == kRounds);
  for (const std::string& name : test::names_in(root.path())) CHECK(name.rfind(".ret", 0) != 0);
}
