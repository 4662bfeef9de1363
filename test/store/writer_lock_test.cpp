#include "support/catch.h"
#include "support/faulty_file_system.h"
#include "support/temporary_directory.h"

#include "store/directory/writer_lock.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

using namespace checkpoint;
using namespace checkpoint::store;

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

TEST_CASE("A file system without locks is said to be unsupported") {
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
