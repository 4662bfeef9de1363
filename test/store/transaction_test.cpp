#include "support/catch.h"
#include "support/faulty_file_system.h"
#include "support/make_checkpoint.h"
#include "support/temporary_directory.h"

#include "store/directory/transaction.h"

#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

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
