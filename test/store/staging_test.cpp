#include "support/catch.h"
#include "support/error_of.h"
#include "support/make_checkpoint.h"
#include "support/temporary_directory.h"

#include "store/directory/retire.h"
#include "store/directory/staging.h"
#include "store/directory/verify.h"

#include <filesystem>

using namespace checkpoint;
using namespace checkpoint::store;
namespace fs = std::filesystem;

namespace {

FileEntry write(const Staging& staging, const std::string& name, const std::string& content) {
  return staging.write_file(name,
                            [&](ByteSink& sink) { sink.write(content.data(), content.size()); });
}

}  // namespace

TEST_CASE("Two processes write one checkpoint: one joins the other's staging directory") {
  const test::TemporaryDirectory root;
  const Directory maker(posix_file_system(), root.path());
  const Directory other(posix_file_system(), root.path());
  Manifest manifest = test::manifest_for(maker, "e1");
  {
    Transaction transaction(maker, {"0.1.0", "run", manifest.sequence}, 10);
    const Staging joined(other, transaction.staging().name());
    CHECK(joined.path() == transaction.staging().path());
    manifest.files = {write(transaction.staging(), kArchiveFile, "of the maker"),
                      write(joined, kTensorTableFile, "of the other")};
    CHECK(other.scan().empty());  // Nothing is there before the commit.
    transaction.commit(manifest);
  }
  const VerifiedCheckpoint found = verify_checkpoint(other, "e1");
  CHECK(found.files.size() == 2);
  CHECK(found.file(kTensorTableFile).size() == 12);
}

TEST_CASE("The maker alone removes a staging directory, with what others wrote into it") {
  const test::TemporaryDirectory root;
  const Directory directory(posix_file_system(), root.path());
  std::string name;
  {
    const Transaction transaction(directory, {"0.1.0", "run", 1}, 10);
    name = transaction.staging().name();
    {
      const Staging joined(directory, name);
      write(joined, kArchiveFile, "half of it");
    }
    CHECK(fs::exists(root / (name + "/" + kArchiveFile)));
  }
  CHECK(test::names_in(root.path()).empty());
  CHECK(contains(error_of([&] { Staging(directory, name); }), "not_found: "));
}

TEST_CASE("Only a staging directory can be joined") {
  const test::TemporaryDirectory root;
  const Directory directory(posix_file_system(), root.path());
  test::make_checkpoint(directory, "e1", "x");
  for (const char* name : {"e1", "", "..", "../x", ".staging-a/../../x"}) {
    CAPTURE(name);
    CHECK(contains(error_of([&] { Staging(directory, name); }), "invalid_argument: "));
  }
  fs::create_directory(root / ".staging-foreign");  // Without a marker.
  CHECK(contains(error_of([&] { Staging(directory, ".staging-foreign"); }), "not_found: "));
}
