#include "support/catch.h"
#include "support/error_of.h"
#include "support/faulty_file_system.h"
#include "support/make_checkpoint.h"
#include "support/temporary_directory.h"

#include "store/directory/history.h"
#include "store/directory/retire.h"
#include "store/directory/transaction.h"
#include "store/directory/writer_hold.h"

#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <optional>

using namespace checkpoint;
using namespace checkpoint::store;
namespace fs = std::filesystem;

namespace {

// A whole save, as the manager does it.
void save(const Directory& directory, const std::string& name) {
  directory.create();
  test::make_checkpoint(directory, name, "content of " + name);
}

}  // namespace

TEST_CASE("A failed fsync is a failed save, and is not tried again") {
  const test::TemporaryDirectory root;
  test::FaultyFileSystem faulty;
  const Directory directory(faulty, root.path());
  faulty.fail(-1, 0);
  save(directory, "probe");
  std::vector<int> syncs;
  for (size_t i = 0; i < faulty.calls().size(); ++i) {
    if (faulty.calls()[i] == "fsync") syncs.push_back(static_cast<int>(i));
  }
  // The parent of the directory is synced when it is made; then the marker, the three files, the
  // staging directory and the parent.
  REQUIRE(syncs.size() >= 6);
  for (const int call : syncs) {
    const test::TemporaryDirectory fresh;
    test::FaultyFileSystem again;
    again.fail(call, EIO);
    const Directory target(again, fresh.path());
    CHECK_THROWS_AS(save(target, "probe"), Error);
  }
}

TEST_CASE("What the caller's content throws ends the transaction without a trace") {
  const test::TemporaryDirectory root;
  const Directory directory(posix_file_system(), root.path());
  {
    Transaction transaction(directory, {"0.1.0", "run", 1}, 10);
    CHECK_THROWS_AS(transaction.staging().write_file(
                        "checkpoint.pt", [](ByteSink&) { throw std::runtime_error("no"); }),
                    std::runtime_error);
  }
  CHECK(test::names_in(root.path()).empty());
}

TEST_CASE("Too little free space is found before anything is written") {
  const test::TemporaryDirectory root;
  const Directory directory(posix_file_system(), root.path());
  try {
    Transaction transaction(directory, {"0.1.0", "run", 1}, uint64_t{1} << 62);
    FAIL("began");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kNoSpace);
  }
  CHECK(test::names_in(root.path()).empty());
}

TEST_CASE("A commit never replaces anything, not even an empty directory") {
  const test::TemporaryDirectory root;
  const Directory directory(posix_file_system(), root.path());
  fs::create_directory(root / "taken");
  CHECK_THROWS_AS(test::make_checkpoint(directory, "taken", "x"), Error);
  CHECK(test::names_in(root.path()) == std::vector<std::string>{"taken"});
  CHECK(fs::is_empty(root / "taken"));
}

TEST_CASE("Modes follow the umask") {
  const test::TemporaryDirectory root;
  const Directory directory(posix_file_system(), root.path());
  const mode_t before = ::umask(0027);
  test::make_checkpoint(directory, "a", "x");
  ::umask(before);
  struct stat info;
  REQUIRE(::stat((root / "a").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0750);
  REQUIRE(::stat((root / "a/checkpoint.pt").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0640);
}

namespace {

using Names = std::vector<std::string>;

// A run that a writer holds, which was moved away, and another run in its place.
struct Replaced {
  Replaced() {
    mine.create();
    test::make_checkpoint(mine, "a", "mine");
    hold.emplace(posix_file_system(), mine.path(), TakeLock::kYes);
    mine.write_under(*hold);
  }
  void replace() const {
    fs::rename(root / "run", root / "old");
    const Directory theirs(posix_file_system(), root / "run");
    theirs.create();
    test::make_checkpoint(theirs, "a", "theirs");
    // As if a writer of theirs were at work.
    fs::create_directory(root / "run/.staging-0123456789abcdef");
    fs::create_directory_symlink("gone", root / "run/best");
  }
  void check_untouched() const {
    CHECK(test::names_in(root / "run") == Names{".staging-0123456789abcdef", "a", "best"});
    CHECK(test::read_file(root / "run/a/checkpoint.pt") == "theirs");
    CHECK(test::read_file(root / "old/a/checkpoint.pt") == "mine");
  }

  test::TemporaryDirectory root;
  Directory mine{posix_file_system(), root / "run"};
  std::optional<WriterHold> hold;
};

}  // namespace

TEST_CASE("Nothing is changed in another run that has taken the writer's path") {
  Replaced at;
  at.replace();
  const auto refused = [](const auto& change) {
    return contains(error_of(change), "locked: the directory was moved");
  };
  CHECK(refused([&] { test::make_checkpoint(at.mine, "b", "mine"); }));
  CHECK(refused([&] { retire(at.mine, "a"); }));
  CHECK(refused([&] { at.mine.set_aside("a"); }));
  CHECK(refused([&] { at.mine.point_link("latest", "a"); }));
  CHECK(refused([&] { at.mine.remove_dangling_link("best"); }));
  CHECK(refused([&] { append_history(at.mine, {}); }));
  sweep(at.mine);  // What it cannot remove is only logged.
  at.check_untouched();
}

TEST_CASE("A directory that is replaced in the middle of a save gets nothing of it") {
  Replaced at;
  std::optional<Transaction> transaction(std::in_place, at.mine, Marker{"0.1.0", "run", 2}, 10);
  SECTION("between two files") {
    at.replace();
    CHECK(contains(
        error_of([&] { transaction->staging().write_file("checkpoint.pt", [](ByteSink&) {}); }),
        "locked: the directory was moved"));
  }
  SECTION("while one is written") {
    transaction->staging().write_file("checkpoint.pt", [&](ByteSink&) { at.replace(); });
    CHECK(contains(error_of([&] { transaction->commit(test::manifest_for(at.mine, "b")); }),
                   "locked: the directory was moved"));
  }
  transaction.reset();  // Which removes what it has written, in its own directory alone.
  at.check_untouched();
}

TEST_CASE("A save whose lock is removed while it runs is not committed, and leaves no trace") {
  Replaced at;
  {
    Transaction transaction(at.mine, {"0.1.0", "run", 2}, 10);
    fs::remove(at.root / "run/.lock");
    CHECK(contains(error_of([&] { transaction.commit(test::manifest_for(at.mine, "b")); }),
                   "locked: the file .lock was removed"));
  }
  CHECK(test::names_in(at.root / "run") == Names{"a"});
}
