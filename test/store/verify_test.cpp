#include "support/catch.h"
#include "support/error_of.h"
#include "support/faulty_file_system.h"
#include "support/make_checkpoint.h"
#include "support/temporary_directory.h"

#include "store/directory/verify.h"

#include <cerrno>
#include <filesystem>

using namespace checkpoint;
using namespace checkpoint::store;

namespace {

ErrorCode code_of(const std::string& path) {
  try {
    verify_checkpoint(posix_file_system(), path);
  } catch (const Error& error) {
    return error.code();
  }
  FAIL("found whole: " + path);
  throw 0;
}

}  // namespace

TEST_CASE("Damage of every kind is found") {
  const test::TemporaryDirectory root;
  const Directory directory(posix_file_system(), root.path());
  const std::string content(100000, 'x');
  test::make_checkpoint(directory, "a", content);
  CHECK(verify_checkpoint(posix_file_system(), root / "a").manifest.name == "a");
  CHECK(verify_checkpoint(posix_file_system(), root / "a", ReadFrom::kDisk).files.size() == 2);

  SECTION("a flipped bit of the archive") { test::flip_bit(root / "a/checkpoint.pt", 77777, 3); }
  SECTION("a flipped bit of the table") { test::flip_bit(root / "a/tensors.json", 5); }
  SECTION("a flipped bit of the manifest") { test::flip_bit(root / "a/manifest.json", 5); }
  SECTION("a byte too few") { test::write_file(root / "a/checkpoint.pt", content.substr(1)); }
  SECTION("a byte too many") { test::write_file(root / "a/checkpoint.pt", content + "x"); }
  SECTION("an empty file") { test::write_file(root / "a/checkpoint.pt", ""); }
  CHECK(code_of(root / "a") == ErrorCode::kCorrupt);
  CHECK(is_damaged_on_disk(directory, "a"));
}

TEST_CASE("A file of another size is reported with both sizes") {
  const test::TemporaryDirectory root;
  const Directory directory(posix_file_system(), root.path());
  test::make_checkpoint(directory, "a", "content");
  test::write_file(root / "a/checkpoint.pt", "conten");
  CHECK(contains(error_of([&] { verify_checkpoint(posix_file_system(), root / "a"); }),
                 "the file has 6 bytes, but had 7 when it was saved"));
}

TEST_CASE("A checkpoint that cannot be read is not reported as damaged") {
  const test::TemporaryDirectory root;
  const Directory directory(posix_file_system(), root.path());
  test::make_checkpoint(directory, "a", "content");
  test::FaultyFileSystem faulty;
  const Directory failing(faulty, root.path());
  faulty.fail(-1, 0);
  verify_checkpoint(faulty, root / "a", ReadFrom::kDisk);
  const int calls = static_cast<int>(faulty.calls().size());
  for (const int error_number : {EIO, EMFILE, ENOMEM, EACCES, ENOENT}) {
    for (int call = 0; call < calls; ++call) {
      faulty.fail(call, error_number);
      INFO("call " << call << " fails with " << error_number);
      CHECK_FALSE(is_damaged_on_disk(failing, "a"));
    }
  }
  std::filesystem::remove(root / "a/checkpoint.pt");
  CHECK(code_of(root / "a") == ErrorCode::kNotFound);
  CHECK_FALSE(is_damaged_on_disk(directory, "a"));
}

TEST_CASE("A link at a file's path is not followed") {
  const test::TemporaryDirectory root;
  const Directory directory(posix_file_system(), root.path());
  test::make_checkpoint(directory, "a", "content");
  std::filesystem::rename(root / "a/checkpoint.pt", root / "elsewhere");
  std::filesystem::create_symlink("../elsewhere", root / "a/checkpoint.pt");
  CHECK(code_of(root / "a") == ErrorCode::kIo);
}
