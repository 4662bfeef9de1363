#include "catch.h"
#include "store/faulty_file_system.h"
#include "store/make_checkpoint.h"
#include "temporary_directory.h"

#include "store/retire.h"
#include "store/transaction.h"
#include "store/verify.h"

#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <set>

using namespace checkpoint;
using namespace checkpoint::store;
namespace fs = std::filesystem;

namespace {

// A whole save, as the manager does it, that retires what came before.
void save(const Directory& directory, const std::string& name) {
  directory.create();
  test::make_checkpoint(directory, name, "content of " + name);
}

bool is_whole(const std::string& root, const std::string& name) {
  try {
    const VerifiedCheckpoint found = verify_checkpoint(posix_file_system(), root + '/' + name);
    return test::read_file(root + '/' + name + "/checkpoint.pt") == "content of " + name;
  } catch (const Error&) {
    return false;
  }
}

std::vector<std::string> listed(const std::string& root) {
  std::vector<std::string> names;
  for (const FoundCheckpoint& found : Directory(posix_file_system(), root).scan()) {
    if (!found.problem) names.push_back(found.name);
  }
  return names;
}

bool has_hidden(const std::string& root) {
  for (const std::string& name : test::names_in(root)) {
    if (name[0] == '.') return true;
  }
  return false;
}

}  // namespace

TEST_CASE("Every failed call of a save leaves the older checkpoint whole and no half one") {
  const int error_number = GENERATE(EIO, ENOSPC, EDQUOT, EACCES, EMFILE);
  int states = 0;
  std::set<std::string> failed_calls;
  for (int call = 0;; ++call) {
    const test::TemporaryDirectory root;
    test::FaultyFileSystem faulty;
    const Directory directory(faulty, root.path());
    save(directory, "old");

    faulty.fail(call, error_number);
    bool threw = false;
    try {
      save(directory, "new");
    } catch (const Error& error) {
      threw = true;
      CHECK(!std::string(error.what()).empty());
    }
    if (call >= static_cast<int>(faulty.calls().size())) {
      CHECK_FALSE(threw);
      break;
    }
    failed_calls.insert(faulty.calls()[call]);
    ++states;
    faulty.heal();

    INFO("call " << call << ", " << faulty.calls()[call] << ", error " << error_number);
    CHECK(is_whole(root.path(), "old"));
    for (const std::string& name : listed(root.path())) CHECK(is_whole(root.path(), name));
    if (!threw) CHECK(is_whole(root.path(), "new"));
    // The next save works, and sweeps what a failed clean-up left.
    save(directory, "next");
    sweep(directory);
    CHECK(is_whole(root.path(), "next"));
    CHECK_FALSE(has_hidden(root.path()));
  }
  // The loop must have met the calls that matter.
  for (const char* call : {"mkdir", "open", "pwrite", "fsync", "close", "rename_noreplace"}) {
    INFO(call);
    CHECK(failed_calls.count(call) == 1);
  }
  CHECK(states > 20);
}

TEST_CASE("A writer that stops dead at any call leaves the older checkpoint whole") {
  for (int call = 0;; ++call) {
    const test::TemporaryDirectory root;
    test::FaultyFileSystem faulty;
    const Directory directory(faulty, root.path());
    save(directory, "old");
    faulty.fail_from(call, EIO);
    bool threw = false;
    try {
      save(directory, "new");
    } catch (const Error&) {
      threw = true;
    }
    const bool at_end = call >= static_cast<int>(faulty.calls().size());
    faulty.heal();
    if (at_end) break;
    INFO("call " << call);
    CHECK(is_whole(root.path(), "old"));
    for (const std::string& name : listed(root.path())) CHECK(is_whole(root.path(), name));
    if (!threw) CHECK(is_whole(root.path(), "new"));
    sweep(directory);
    CHECK_FALSE(has_hidden(root.path()));
  }
}

TEST_CASE("Every failed call of a removal leaves the newer checkpoint whole and no half one") {
  for (int call = 0;; ++call) {
    const test::TemporaryDirectory root;
    test::FaultyFileSystem faulty;
    const Directory directory(faulty, root.path());
    save(directory, "old");
    save(directory, "new");
    faulty.fail_from(call, EIO);
    try {
      retire(directory, "old");
    } catch (const Error&) {
    }
    const bool at_end = call >= static_cast<int>(faulty.calls().size());
    faulty.heal();
    INFO("call " << call);
    CHECK(is_whole(root.path(), "new"));
    for (const std::string& name : listed(root.path())) CHECK(is_whole(root.path(), name));
    sweep(directory);
    CHECK_FALSE(has_hidden(root.path()));
    if (at_end) break;
  }
}

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
    CHECK_THROWS_AS(
        transaction.write_file("checkpoint.pt", [](ByteSink&) { throw std::runtime_error("no"); }),
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
