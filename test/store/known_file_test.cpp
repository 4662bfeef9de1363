#include "support/catch.h"
#include "support/error_of.h"
#include "support/make_checkpoint.h"
#include "support/temporary_directory.h"

#include "store/directory/known_file.h"
#include "store/directory/retire.h"
#include "store/directory/transaction.h"
#include "store/directory/verify.h"
#include "store/records/manifest.h"
#include "store/records/names.h"

#include <filesystem>

using namespace checkpoint;
using namespace checkpoint::store;
namespace fs = std::filesystem;

namespace {

constexpr char kLinked[] = "unchanged-0123456789abcdef.pt";

// A directory with the checkpoint e1, and a save of e2 that has begun.
struct Begun {
  Begun() {
    test::make_checkpoint(directory, "e1", "the content");
    manifest = test::manifest_for(directory, "e2");
    transaction.emplace(directory, Marker{"0.1.0", "run", manifest.sequence}, 10);
    known = know_file(directory.fs(), file, verify_checkpoint(directory, "e1").manifest.files[0]);
  }
  const Staging& staging() { return transaction->staging(); }
  FileEntry link() { return staging().link_file(file, known, kLinked); }

  const test::TemporaryDirectory root;
  const std::string file = root / "e1/checkpoint.pt";
  const Directory directory{posix_file_system(), root.path()};
  Manifest manifest;
  std::optional<Transaction> transaction;
  KnownFile known;
};

}  // namespace

TEST_CASE("A linked file outlives the checkpoint that it came from") {
  Begun begun;
  begun.manifest.files.push_back(begun.link());
  begun.transaction->commit(begun.manifest);
  CHECK(retire(begun.directory, "e1"));
  const VerifiedCheckpoint found = verify_checkpoint(begun.directory, "e2");
  CHECK(found.manifest.files[0].name == kLinked);
  CHECK(test::read_file(begun.root / "e2/unchanged-0123456789abcdef.pt") == "the content");
  CHECK(fs::hard_link_count(begun.root / "e2/unchanged-0123456789abcdef.pt") == 1);
  CHECK(retire(begun.directory, "e2"));  // It holds nothing but files of ours.
  CHECK(test::names_in(begun.root.path()).empty());
}

TEST_CASE("Only the very file that is known is linked") {
  Begun begun;
  std::string code = "corrupt: ";
  SECTION("another of the same bytes") {
    fs::copy_file(begun.file, begun.root / "other");
    fs::rename(begun.root / "other", begun.file);
  }
  SECTION("one that was written to") {
    fs::last_write_time(begun.file, fs::last_write_time(begun.file) + std::chrono::seconds(1));
  }
  SECTION("a longer one") {
    const auto time = fs::last_write_time(begun.file);
    test::write_file(begun.file, "the content, and more");
    fs::last_write_time(begun.file, time);
  }
  SECTION("a symbolic link to it") {
    fs::rename(begun.file, begun.root / "other");
    fs::create_symlink(begun.root / "other", begun.file);
    code = "";  // Linking it succeeds, and opening that does not.
  }
  SECTION("one that is gone") {
    fs::remove(begun.file);
    code = "not_found: ";
  }
  const std::string error = error_of([&] { begun.link(); });
  CHECK(!error.empty());
  CHECK(contains(error, code));
  CHECK(test::names_in(begun.staging().path()) == std::vector<std::string>{kMarkerFile});
}

TEST_CASE("A file that is not what the manifest names cannot be known") {
  const test::TemporaryDirectory root;
  test::write_file(root / "file", "12345");
  fs::create_symlink("file", root / "link");
  fs::create_directory(root / "directory");
  FileSystem& real = posix_file_system();
  CHECK(know_file(real, root / "file", {"file", 5, ""}).entry.name == "file");
  for (const char* name : {"link", "directory", "none"}) {
    CAPTURE(name);
    CHECK(contains(error_of([&] { know_file(real, root / name, {name, 5, ""}); }), "corrupt: "));
  }
  CHECK(contains(error_of([&] { know_file(real, root / "file", {"file", 6, ""}); }), "corrupt: "));
}

TEST_CASE("The names of files with unchanged tensors") {
  for (const char* name : {kLinked, "unchanged-0000000000000000.pth"}) {
    CHECK(is_unchanged_file(name));
    CHECK(holds_tensors(name));
    CHECK_FALSE(is_content_file(name));
  }
  for (const char* name : {"unchanged-.pt", "unchanged-0123456789abcde.pt", "checkpoint.pt",
                           "unchanged-0123456789abcdef", "unchanged-0123456789ABCDEF.pt",
                           "unchanged-0123456789abcdef.pt2", "unchanged-0123456789abcdef0.pt"}) {
    CAPTURE(name);
    CHECK_FALSE(is_unchanged_file(name));
  }
  CHECK(unchanged_file(Format::kArchive, "0123456789abcdef") == kLinked);
  CHECK(format_of(kLinked) == Format::kArchive);
  CHECK(format_of("checkpoint-00001-of-00002.pth") == Format::kPth);
  CHECK(unchanged_file(Format::kPth, "0123456789abcdef") == "unchanged-0123456789abcdef.pth");
}

TEST_CASE("A manifest says how much of its files was written, where it is not all") {
  Manifest manifest;
  manifest.name = "e2";
  manifest.files = {{"checkpoint.pt", 10, ""}, {kLinked, 90, ""}};
  manifest.bytes_written = 10;
  CHECK_FALSE(contains(encode_manifest(manifest), "bytes_written"));
  CHECK(decode_manifest(encode_manifest(manifest), "p").bytes_written == 100);
  manifest.format_version = kFormatVersionOfUnchanged;
  CHECK(decode_manifest(encode_manifest(manifest), "p").bytes_written == 10);
}
