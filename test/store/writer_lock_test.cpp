#include "support/catch.h"
#include "support/error_of.h"
#include "support/faulty_file_system.h"
#include "support/temporary_directory.h"

#include "store/directory/writer_hold.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <memory>

using namespace checkpoint;
using namespace checkpoint::store;
namespace fs = std::filesystem;

namespace {

bool is_locked(const std::string& directory) {
  try {
    const WriterLock lock(posix_file_system(), directory);
    return false;
  } catch (const Error& error) {
    REQUIRE(error.code() == ErrorCode::kLocked);
    return true;
  }
}

}  // namespace

TEST_CASE("One writer excludes another in the same process, until it ends") {
  const test::TemporaryDirectory root;
  {
    const WriterLock lock(posix_file_system(), root.path());
    CHECK(is_locked(root.path()));
  }
  CHECK_FALSE(is_locked(root.path()));
}

TEST_CASE("A lock that was moved is held once and released once") {
  const test::TemporaryDirectory root;
  auto first = std::make_unique<WriterLock>(posix_file_system(), root.path());
  auto second = std::make_unique<WriterLock>(std::move(*first));
  first.reset();
  CHECK(is_locked(root.path()));
  second.reset();
  CHECK_FALSE(is_locked(root.path()));
}

TEST_CASE("A forked child does not hold its dead parent's lock") {
  const test::TemporaryDirectory root;
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t parent = ::fork();
  if (parent == 0) {
    const WriterLock lock(posix_file_system(), root.path());
    const pid_t child = ::fork();
    if (child == 0) {
      ::setpgid(0, 0);
      const pid_t self = ::getpid();
      if (::write(ready[1], &self, sizeof self) != sizeof self) ::_exit(1);
      ::pause();  // Lives on when its parent is dead.
    }
    ::pause();
  }
  pid_t child = 0;
  REQUIRE(::read(ready[0], &child, sizeof child) == sizeof child);
  CHECK(is_locked(root.path()));
  ::kill(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  CHECK_FALSE(is_locked(root.path()));
  ::kill(child, SIGKILL);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_CASE("A file system without locks is reported as unsupported") {
  const test::TemporaryDirectory root;
  test::FaultyFileSystem faulty;
  faulty.fail(1, ENOLCK);
  try {
    const WriterLock lock(faulty, root.path());
    FAIL("locked");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kUnsupported);
    CHECK(std::string(error.what()).find("lock(false)") != std::string::npos);
  }
}

TEST_CASE("A hold is kept only while the path leads to the directory and the lock that are held") {
  const test::TemporaryDirectory root;
  const std::string run = root / "run";
  fs::create_directory(run);
  const WriterHold hold(posix_file_system(), run, TakeLock::kYes);
  CHECK(error_of([&] { hold.require_held(); }).empty());
  std::string said;
  SECTION("The directory is moved away") {
    fs::rename(run, run + ".old");
    said = "was moved";
    SECTION("and nothing comes") {}
    SECTION("and another comes") { fs::create_directory(run); }
    SECTION("and another writer comes") {
      fs::create_directory(run);
      const WriterHold other(posix_file_system(), run, TakeLock::kYes);
      CHECK(error_of([&] { other.require_held(); }).empty());
    }
    SECTION("and a file comes") { test::write_file(run, "file"); }
  }
  SECTION("The directory is removed and remade") {
    fs::remove_all(run);
    fs::create_directory(run);
    said = "was moved";
  }
  SECTION("The lock is removed") {
    fs::remove(run + "/.lock");
    said = ".lock was removed";
    SECTION("and not remade") {}
    SECTION("and remade") { test::write_file(run + "/.lock", ""); }
  }
  const std::string error = error_of([&] { hold.require_held(); });
  CHECK(contains(error, "locked: "));
  CHECK(contains(error, said));
  CHECK(contains(error, '(' + run + ')'));
  CHECK(contains(error, "Create a new CheckpointManager"));
}

TEST_CASE("A hold outlasts a move there and back, and follows a link in the directory's place") {
  const test::TemporaryDirectory root;
  fs::create_directory(root / "a");
  fs::create_directory(root / "b");
  fs::create_directory_symlink("a", root / "run");
  const WriterHold hold(posix_file_system(), root / "run", TakeLock::kYes);
  fs::rename(root / "a", root / "c");
  CHECK(contains(error_of([&] { hold.require_held(); }), "was moved"));
  fs::rename(root / "c", root / "a");
  CHECK(error_of([&] { hold.require_held(); }).empty());
  fs::remove(root / "run");
  fs::create_directory_symlink("b", root / "run");
  CHECK(contains(error_of([&] { hold.require_held(); }), "was moved"));
}

TEST_CASE("Without a lock, a hold makes no file, and asks for the directory alone") {
  const test::TemporaryDirectory root;
  const std::string run = root / "run";
  fs::create_directory(run);
  const WriterHold hold(posix_file_system(), run, TakeLock::kNo);
  CHECK(test::names_in(run).empty());
  CHECK(error_of([&] { hold.require_held(); }).empty());
  fs::rename(run, run + ".old");
  fs::create_directory(run);
  CHECK(contains(error_of([&] { hold.require_held(); }), "was moved"));
}

TEST_CASE("A hold that cannot be checked is an error, not a permission") {
  const test::TemporaryDirectory root;
  test::FaultyFileSystem faulty;
  const WriterHold hold(faulty, root.path(), TakeLock::kYes);
  faulty.fail(-1, 0);
  hold.require_held();
  const int calls = static_cast<int>(faulty.calls().size());
  REQUIRE(calls > 0);
  for (int call = 0; call < calls; ++call) {
    faulty.fail(call, EIO);
    CHECK(contains(error_of([&] { hold.require_held(); }), "io: "));
  }
}
