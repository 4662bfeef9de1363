#include "support/catch.h"
#include "support/error_of.h"
#include "support/file_size_limit.h"
#include "support/models.h"
#include "support/temporary_directory.h"

#include <checkpoint/checkpoint.h>

#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>

using namespace checkpoint;
using test::FileSizeLimit;

TEST_CASE("A full disk throws no_space, leaves no trace, and the next save works") {
  const test::TemporaryDirectory root;
  torch::Tensor tensor = torch::randn({200, 200});
  State state;
  state.add("tensor", tensor);
  CheckpointManager manager(root.path(), CheckpointManagerOptions().name("e{epoch}").keep_last(1));
  manager.save(state, {0});
  // From the very first byte to the last of the archive, which has some 165,000.
  for (const rlim_t bytes : {0, 1, 100, 1000, 100000, 160000, 164000}) {
    const FileSizeLimit limit(bytes);
    INFO(bytes << " bytes");
    CHECK(contains(error_of([&] { manager.save(state, {1}); }), "no_space: "));
    CHECK(test::names_in(root.path()) ==
          std::vector<std::string>{".lock", "e0", "history.jsonl", "latest"});
  }
  manager.verify("e0");
  CHECK(manager.save(state, {1}) == "e1");
  CHECK(test::names_in(root.path()) ==
        std::vector<std::string>{".lock", "e1", "history.jsonl", "latest"});
}

TEST_CASE("A small file system that is really full") {
  const test::TemporaryDirectory root;
  if (::mount("tmpfs", root.path().c_str(), "tmpfs", 0, "size=400k") != 0) {
    WARN("skipped: mounting is not allowed here");
    return;
  }
  {
    torch::Tensor tensor = torch::randn({200, 200});
    State state;
    state.add("tensor", tensor);
    CheckpointManager manager(root.path(), CheckpointManagerOptions().name("e{epoch}"));
    // The estimate is generous to the file system, so that a small one is really filled.
    std::string error;
    int saved = 0;
    while (error.empty() && saved < 10) {
      error = error_of([&] { manager.save(state, {saved}); });
      saved += error.empty() ? 1 : 0;
    }
    CHECK(contains(error, "no_space: "));
    CHECK(manager.list().size() == static_cast<size_t>(saved));
    for (const CheckpointInfo& info : manager.list()) manager.verify(info.name);
  }
  ::umount2(root.path().c_str(), MNT_DETACH);
}
