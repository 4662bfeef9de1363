#include "support/catch.h"
#include "support/error_of.h"
#include "support/make_checkpoint.h"
#include "support/temporary_directory.h"

#include "store/directory/history.h"
#include "store/directory/unseen.h"
#include "store/records/manifest.h"
#include "store/records/marker.h"

#include <filesystem>

using namespace checkpoint;
using namespace checkpoint::store;
namespace fs = std::filesystem;

namespace {

// "NAME: why", a line each.
std::string signs(const Directory& directory) {
  std::string text;
  for (const Unseen& one : find_unseen(directory)) text += one.name + ": " + one.why + "\n";
  return text;
}

struct Place {
  Place() { test::make_checkpoint(directory, "e1", "x"); }
  // Away from the directory, and back under another name.
  void rename(const std::string& name) { fs::rename(root / "e1", root / name); }

  const test::TemporaryDirectory root;
  const Directory directory{posix_file_system(), root.path()};
};

}  // namespace

TEST_CASE("A missing or empty directory does not prevent a start") {
  const test::TemporaryDirectory root;
  CHECK(signs(Directory(posix_file_system(), root / "none")).empty());
  CHECK(signs(Directory(posix_file_system(), root.path())).empty());
}

TEST_CASE("Each way to hide a checkpoint is named, with what to do") {
  Place at;
  SECTION("hidden") {
    at.rename(".e1");
    CHECK(contains(signs(at.directory), ".e1: a checkpoint with a hidden name: rename it"));
  }
  SECTION("in the middle of its removal") {
    at.rename(".retiring-e1");
    CHECK(contains(signs(at.directory), ".retiring-e1: "));
    CHECK(contains(signs(at.directory), "rename it to 'e1'"));
  }
  SECTION("behind a link") {
    const test::TemporaryDirectory disk;
    fs::rename(at.root / "e1", disk / "e1");
    fs::create_directory_symlink(disk / "e1", at.root / "e1");
    CHECK(contains(signs(at.directory), "e1: a link to a checkpoint"));
    fs::remove(disk / "e1/.torch-checkpoint");
    CHECK(contains(signs(at.directory), "e1: a link to a checkpoint"));
    fs::remove_all(disk / "e1");
    CHECK(contains(signs(at.directory), "e1: a link that leads nowhere"));
    test::write_file(disk / "e1", "a file");
    CHECK(signs(at.directory).empty());
    fs::rename(at.root / "e1", at.root / "latest");
    CHECK(contains(signs(at.directory), "latest: the link to a checkpoint leads to a file"));
  }
  SECTION("one level deeper") {
    fs::create_directory(at.root / "run");
    at.rename("run/e1");
    CHECK(contains(signs(at.directory), "run: a directory that holds checkpoints ('e1')"));
    fs::create_directory_symlink("run", at.root / "same");
    CHECK(contains(signs(at.directory), "same: a directory that holds checkpoints ('e1')"));
  }
  SECTION("one level higher") {
    CHECK(contains(signs(Directory(posix_file_system(), at.root / "e1")),
                   ".: this directory is a checkpoint itself"));
  }
  SECTION("gone, but in the history") {
    append_history(at.directory, history_entry(read_manifest(posix_file_system(), at.root / "e1")));
    fs::remove_all(at.root / "e1");
    CHECK(contains(signs(at.directory), "history.jsonl: says that checkpoints were saved here"));
  }
}

TEST_CASE("What was never acknowledged, or is decided to go, does not hinder a start") {
  Place at;
  at.rename(GENERATE(".staging-0123456789abcdef", ".retired-0123456789abcdef"));
  fs::create_directory(at.root / ".pins");
  test::write_file(at.root / ".pins/e1", "");
  CHECK(signs(at.directory).empty());
}

TEST_CASE("A checkpoint is known by any two of its files, or by a part of its manifest") {
  Place at;
  FileSystem& posix = posix_file_system();
  const std::string path = at.root / "e1";
  fs::remove(path + "/.torch-checkpoint");
  SECTION("whole but for the marker") { CHECK(looks_like_checkpoint(posix, path)); }
  SECTION("no manifest") {
    fs::remove(path + "/manifest.json");
    CHECK(looks_like_checkpoint(posix, path));
    CHECK(at.directory.scan().at(0).problem->code() == ErrorCode::kNotFound);
    fs::remove(path + "/tensors.json");
    CHECK_FALSE(looks_like_checkpoint(posix, path));  // Other programs use that file name too.
  }
  SECTION("a manifest that is cut off, and nothing else") {
    fs::remove(path + "/tensors.json");
    fs::remove(path + "/checkpoint.pt");
    fs::resize_file(path + "/manifest.json", 100);
    CHECK(looks_like_checkpoint(posix, path));
    CHECK(at.directory.scan().at(0).problem->code() == ErrorCode::kCorrupt);
  }
  SECTION("links to files that are elsewhere") {
    for (const char* file : {"manifest.json", "tensors.json", "checkpoint.pt"}) {
      fs::remove(path + '/' + file);
      fs::create_symlink("../.store/" + std::string(file), path + '/' + file);
    }
    CHECK(looks_like_checkpoint(posix, path));
    CHECK(at.directory.scan().at(0).problem);
  }
  SECTION("another program's") {
    fs::remove(path + "/tensors.json");
    test::write_file(path + "/manifest.json", "{\"name\": \"a web app\"}");
    CHECK_FALSE(looks_like_checkpoint(posix, path));
  }
}

TEST_CASE("Files that may be checkpoints are known by their names") {
  Place at;
  for (const char* name : {"model.pt", "e1.tar.gz", "notes.txt", ".pt", "weights.safetensors"}) {
    test::write_file(at.root / name, "x");
  }
  CHECK(files_like_checkpoints(at.directory) ==
        std::vector<std::string>{"e1.tar.gz", "model.pt", "weights.safetensors"});
}
