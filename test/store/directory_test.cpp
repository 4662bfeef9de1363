#include "support/catch.h"
#include "support/error_of.h"
#include "support/faulty_file_system.h"
#include "support/make_checkpoint.h"
#include "support/temporary_directory.h"

#include "store/directory/directory.h"
#include "store/directory/retire.h"
#include "store/io/file.h"
#include "store/records/names.h"

#include <cerrno>
#include <filesystem>

using namespace checkpoint;
using namespace checkpoint::store;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> names(const Directory& directory) {
  std::vector<std::string> result;
  for (const FoundCheckpoint& found : directory.scan()) result.push_back(found.name);
  return result;
}

}  // namespace

TEST_CASE("A missing directory lists as empty, and reading does not create it") {
  const test::TemporaryDirectory root;
  const Directory directory(posix_file_system(), root / "a/b");
  CHECK(directory.scan().empty());
  CHECK(directory.highest_sequence(directory.scan()) == 0);
  CHECK_FALSE(fs::exists(root / "a"));
  directory.create();
  directory.create();
  CHECK(fs::is_directory(root / "a/b"));
}

TEST_CASE("A file in the directory's place is an error that says so") {
  const test::TemporaryDirectory root;
  test::write_file(root / "file", "");
  CHECK(contains(error_of([&] { Directory(posix_file_system(), root / "file").create(); }),
                 "not a directory"));
  CHECK_THROWS_AS(Directory(posix_file_system(), root / "file/below").create(), Error);
  CHECK_THROWS_AS(Directory(posix_file_system(), ""), Error);
}

TEST_CASE("A missing right to read is not reported as a missing right to write") {
  const test::TemporaryDirectory root;
  test::FaultyFileSystem closed;
  const auto refused = [&](const auto& call) {
    closed.fail(0, EACCES);
    return error_of(call);
  };
  for (const std::string& error :
       {refused([&] { Directory(closed, root.path()).set_aside_names(); }),
        refused([&] { File::open(closed, root / "file"); }),
        refused([&] { File::open_directory(closed, root.path()); }),
        refused([&] { status_of(closed, root / "file"); })}) {
    CHECK(contains(error, "io: "));
    CHECK(contains(error, "right to read"));
  }
  CHECK(contains(refused([&] { File::create(closed, root / "file"); }), "writable"));
}

TEST_CASE("Order is by sequence, whatever the names say") {
  const test::TemporaryDirectory root;
  const Directory directory(posix_file_system(), root.path());
  test::make_checkpoint(directory, "z", "1");
  test::make_checkpoint(directory, "a", "2");
  test::make_checkpoint(directory, "m", "3");
  CHECK(names(directory) == std::vector<std::string>{"z", "a", "m"});
  CHECK(directory.highest_sequence(directory.scan()) == 3);
}

TEST_CASE("Foreign files, directories, links and hidden names are skipped and stay") {
  const test::TemporaryDirectory root;
  const Directory directory(posix_file_system(), root.path());
  test::make_checkpoint(directory, "ours", "x");
  fs::create_directory(root / "tensorboard");
  test::write_file(root / "tensorboard/events.out.tfevents.1", "events");
  fs::create_directory(root / "web");
  test::write_file(root / "web/manifest.json", "{\"name\": \"a web app\"}");
  test::write_file(root / "notes.txt", "notes");
  fs::create_directory(root / ".staging-theirs");
  test::write_file(root / ".staging-theirs/file", "theirs");
  fs::create_directory_symlink("ours", root / "alias");
  fs::create_directory_symlink("nowhere", root / "dangling");

  CHECK(names(directory) == std::vector<std::string>{"ours"});
  sweep(directory);
  CHECK(test::read_file(root / ".staging-theirs/file") == "theirs");
  CHECK(test::read_file(root / "tensorboard/events.out.tfevents.1") == "events");
  CHECK_FALSE(retire(directory, "tensorboard"));
  CHECK_FALSE(retire(directory, "web"));
  CHECK(fs::exists(root / "web/manifest.json"));
}

TEST_CASE("A checkpoint that also has a foreign file is not retired") {
  const test::TemporaryDirectory root;
  const Directory directory(posix_file_system(), root.path());
  test::make_checkpoint(directory, "ours", "x");
  test::write_file(root / "ours/notes.txt", "keep me");
  CHECK_FALSE(retire(directory, "ours"));
  CHECK(test::read_file(root / "ours/notes.txt") == "keep me");
  fs::remove(root / "ours/notes.txt");
  CHECK(retire(directory, "ours"));
  CHECK(test::names_in(root.path()).empty());
}

TEST_CASE("A damaged manifest keeps its place by the marker's sequence") {
  const test::TemporaryDirectory root;
  const Directory directory(posix_file_system(), root.path());
  test::make_checkpoint(directory, "one", "x");
  test::make_checkpoint(directory, "two", "x");
  test::make_checkpoint(directory, "three", "x");
  test::flip_bit(root / "two/manifest.json", 40);
  const std::vector<FoundCheckpoint> found = directory.scan();
  REQUIRE(found.size() == 3);
  CHECK(found[1].name == "two");
  CHECK(found[1].sequence == 2);
  REQUIRE(found[1].problem);
  CHECK(found[1].problem->code() == ErrorCode::kCorrupt);

  CHECK(directory.set_aside("two") == "two.corrupt");
  test::make_checkpoint(directory, "two", "x");
  CHECK(directory.set_aside("two") == "two.corrupt-2");
  CHECK(names(directory) == std::vector<std::string>{"one", "three"});
  CHECK(directory.set_aside_names() == std::vector<std::string>{"two.corrupt", "two.corrupt-2"});
  CHECK(directory.highest_sequence(directory.scan()) == 4);
}

TEST_CASE("Equal names get a version") {
  const test::TemporaryDirectory root;
  const Directory directory(posix_file_system(), root.path());
  CHECK(directory.free_name("a") == "a");
  test::make_checkpoint(directory, "a", "x");
  CHECK(directory.free_name("a") == "a-v2");
  test::write_file(root / "a-v2", "a file in the way");
  CHECK(directory.free_name("a") == "a-v3");
}

TEST_CASE("The link to the latest moves, but never replaces a file") {
  const test::TemporaryDirectory root;
  const Directory directory(posix_file_system(), root.path());
  directory.point_link(kLatestLink, "a");
  directory.point_link(kLatestLink, "b");
  CHECK(fs::read_symlink(root / "latest") == "b");
  fs::remove(root / "latest");
  test::write_file(root / "latest", "mine");
  directory.point_link(kLatestLink, "c");
  CHECK(test::read_file(root / "latest") == "mine");
}

TEST_CASE("What dead writers left is swept") {
  const test::TemporaryDirectory root;
  const Directory directory(posix_file_system(), root.path());
  test::make_checkpoint(directory, "half", "x");
  fs::rename(root / "half", root / ".staging-0123");
  test::make_checkpoint(directory, "gone", "x");
  fs::rename(root / "gone", root / ".retired-0123");
  fs::remove(root / ".retired-0123/manifest.json");
  fs::create_directory(root / ".staging-4567");  // Died before the marker was in.
  test::make_checkpoint(directory, "ours", "x");
  sweep(directory);
  CHECK(test::names_in(root.path()) == std::vector<std::string>{"ours"});
}
