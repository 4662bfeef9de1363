// One checkpoint without a manager, and how often a manager's save reads all of them.

#include "support/catch.h"
#include "support/error_of.h"
#include "support/faulty_file_system.h"
#include "support/number.h"
#include "support/temporary_directory.h"

#include "manager/manager_access.h"

#include <checkpoint/checkpoint.h>

#include <filesystem>
#include <string>

using namespace checkpoint;
using test::Number;
namespace fs = std::filesystem;

namespace {

// Counts how often the manifest of the checkpoint "e0" is opened: once by each scan.
class ScanCounter final : public test::FaultyFileSystem {
 public:
  int open(const char* path, int flags, mode_t mode) override {
    const std::string end = "/e0/manifest.json";
    const std::string opened = path;
    if (opened.size() >= end.size() &&
        opened.compare(opened.size() - end.size(), end.size(), end) == 0) {
      ++scans;
    }
    return test::FaultyFileSystem::open(path, flags, mode);
  }
  int scans = 0;
};

// Of the fourth of four saves, the first of which stays as the best.
int scans_of_a_save(const CheckpointManagerOptions& options) {
  const test::TemporaryDirectory root;
  ScanCounter counter;
  Number number;
  CheckpointManager manager = internal::ManagerAccess::open(counter, root.path(), options);
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    manager.save(number.state, {epoch, 0, static_cast<double>(epoch)});
  }
  manager.wait();
  counter.scans = 0;
  manager.save(number.state, {3, 0, 3});
  manager.wait();
  return counter.scans;
}

}  // namespace

TEST_CASE("A save scans its directory once") {
  const auto plain = CheckpointManagerOptions().name("e{epoch}").verify_before_retire(false);
  const auto ruled = CheckpointManagerOptions(plain).keep_best(1, "loss", Mode::kMin).keep_last(2);
  CHECK(scans_of_a_save(plain) == 1);
  CHECK(scans_of_a_save(ruled) == 1);
  CHECK(scans_of_a_save(CheckpointManagerOptions(ruled).async(true)) == 1);
  CHECK(scans_of_a_save(CheckpointManagerOptions(ruled).lock(false)) == 1);
}

TEST_CASE("Sequences go up, also past a checkpoint that was copied in, set aside or removed") {
  const test::TemporaryDirectory root, elsewhere;
  const auto options = CheckpointManagerOptions().name("e{epoch}").keep_last(5);
  Number number;
  {
    CheckpointManager other(elsewhere.path(), options);
    for (int64_t epoch = 10; epoch < 20; ++epoch) other.save(number.state, {epoch});
  }
  CheckpointManager manager(root.path(), options);
  manager.save(number.state, {0});
  fs::copy(elsewhere / "e19", root / "e19", fs::copy_options::recursive);  // Of sequence 10.
  manager.save(number.state, {1});
  manager.save(number.state, {2});
  CHECK(manager.latest()->name == "e2");
  CHECK(manager.latest()->manifest.sequence == 12);
  test::flip_bit(root / "e2/checkpoint.pt", 500);
  REQUIRE(manager.restore_latest(number.state));
  CHECK(fs::exists(root / "e2.corrupt"));
  manager.save(number.state, {3});
  CHECK(manager.latest()->manifest.sequence == 13);
  manager.remove("e3");
  manager.save(number.state, {4});
  CHECK(manager.latest()->manifest.sequence == 14);
}

TEST_CASE("The manifest of one checkpoint is read by its path, with the name that it has now") {
  const test::TemporaryDirectory root;
  Number number;
  CheckpointManager(root.path(), CheckpointManagerOptions().name("e{epoch}"))
      .save(number.state, {7, 70, 0.5});
  CHECK(read_manifest(root / "e7").progress.step == 70);
  CHECK(read_manifest(root / "e7").name == "e7");
  CHECK(read_manifest(root / "latest").name == "e7");
  CHECK(read_manifest(root / "e7/").name == "e7");
  fs::rename(root / "e7", root / "good");
  CHECK(read_manifest(root / "good").name == "good");
  CheckpointManager reader(root.path(), CheckpointManagerOptions().read_only(true));
  CHECK(reader.list().at(0).manifest.name == "good");
  CHECK(reader.restore(number.state, "good").name() == "good");
  CHECK(reader.restore_latest(number.state)->name() == "good");
  CHECK(contains(error_of([&] { read_manifest(root / "none"); }), "not_found: "));
  CHECK(contains(error_of([&] { read_manifest(root.path()); }), "not_found: "));
}

TEST_CASE("One checkpoint is verified by its path, and says how far it is") {
  const test::TemporaryDirectory root;
  Number number;
  CheckpointManager(root.path(), CheckpointManagerOptions().name("e{epoch}"))
      .save(number.state, {1});
  uint64_t done = 0, total = 0;
  verify(root / "e1", [&](const Transfer& transfer) {
    CHECK(transfer.phase == Phase::kVerify);
    done = transfer.bytes_done;
    total = transfer.bytes_total;
  });
  CHECK(done == total);
  CHECK(total == read_manifest(root / "e1").total_bytes());
  test::flip_bit(root / "e1/checkpoint.pt", 500);
  CHECK(contains(error_of([&] { verify(root / "e1"); }), root / "e1/checkpoint.pt"));
}
