#include "support/catch.h"
#include "support/error_of.h"
#include "support/faulty_file_system.h"
#include "support/temporary_directory.h"

#include "store/io/atomic_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

using namespace checkpoint;
using namespace checkpoint::store;
namespace fs = std::filesystem;

TEST_CASE("Whichever call fails, the file is the old one or the new one, whole") {
  for (int call = 0;; ++call) {
    const test::TemporaryDirectory root;
    test::write_file(root / "file", "old");
    test::FaultyFileSystem faulty;
    faulty.fail(call, EIO);
    const std::string error = error_of([&] {
      write_atomically(faulty, root / "file", [](ByteSink& sink) { sink.write("new!", 4); });
    });
    INFO("call " << call);
    const std::string content = test::read_file(root / "file");
    if (error.empty()) {
      CHECK(content == "new!");
    } else {
      CHECK((content == "old" || content == "new!"));
    }
    CHECK(test::names_in(root.path()) == std::vector<std::string>{"file"});
    if (call >= static_cast<int>(faulty.calls().size())) break;
  }
}

TEST_CASE("Wherever the machine stops, the old file stands there or the whole new one") {
  test::MemoryFileSystem prepared;
  prepared.put("/d/file", "old");
  const auto write = [](FileSystem& fs) {
    write_atomically(fs, "/d/file", [](ByteSink& sink) { sink.write("new!", 4); });
  };
  for (int call = 0;; ++call) {
    test::MemoryFileSystem memory = prepared;
    test::FaultyFileSystem faulty(memory);
    faulty.arm(call, {test::Fault::Kind::kStop});
    bool succeeded = true;
    try {
      write(faulty);
    } catch (const Error&) {
      succeeded = false;
    }
    for (const auto data : {test::DataFate::kLost, test::DataFate::kKept,
                            test::DataFate::kTruncated, test::DataFate::kGarbage}) {
      for (const auto entries :
           {test::EntryFate::kLost, test::EntryFate::kKept, test::EntryFate::kSome}) {
        test::MemoryFileSystem after = memory;
        after.crash(data, entries, static_cast<uint32_t>(call));
        INFO("call " << call);
        const std::string content = after.content("/d/file");
        CHECK((content == "new!" || (content == "old" && !succeeded)));
      }
    }
    if (call >= static_cast<int>(faulty.calls().size())) break;
  }
}

TEST_CASE("Where a link stands, what it leads to is replaced") {
  const test::TemporaryDirectory root;
  fs::create_directories(root / "elsewhere");
  test::write_file(root / "elsewhere/file", "old");
  fs::create_symlink("elsewhere/file", root / "link");
  fs::create_symlink("nowhere", root / "dangling");
  for (const char* name : {"link", "dangling"}) {
    write_atomically(posix_file_system(), root / name,
                     [](ByteSink& sink) { sink.write("new!", 4); });
    CHECK(test::read_file(root / name) == "new!");
  }
  CHECK(fs::is_symlink(root / "link"));
  CHECK(test::read_file(root / "elsewhere/file") == "new!");
}

TEST_CASE("What is no regular file is not replaced by one") {
  const test::TemporaryDirectory root;
  fs::create_directories(root / "directory");
  REQUIRE(::mkfifo((root / "pipe").c_str(), 0600) == 0);
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  fs::create_symlink("/proc/self/fd/" + std::to_string(ends[1]), root / "like stdout");
  for (const char* name : {"like stdout", "directory", "pipe"}) {
    const char* const code =
        name == std::string("like stdout") ? "not_found: " : "invalid_argument: ";
    CHECK(contains(error_of([&] {
                     write_atomically(posix_file_system(), root / name,
                                      [](ByteSink& sink) { sink.write("new!", 4); });
                   }),
                   code));
  }
  ::close(ends[0]);
  ::close(ends[1]);
  CHECK(fs::is_symlink(root / "like stdout"));
  CHECK(fs::is_directory(root / "directory"));
  CHECK(fs::is_fifo(root / "pipe"));
}
