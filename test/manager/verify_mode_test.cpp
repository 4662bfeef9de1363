#include "base/digest.h"
#include "manager/manager_access.h"
#include "store/io/past_cache.h"
#include "support/catch.h"
#include "support/cold_disk.h"
#include "support/error_of.h"
#include "support/temporary_directory.h"

#include <checkpoint/checkpoint.h>

#include <torch/torch.h>

#include <filesystem>

using namespace checkpoint;
namespace fs = std::filesystem;

namespace {

const auto kOptions = CheckpointManagerOptions().name("e{epoch}");

// Three checkpoints of one tensor, of more than a chunk; each is full of its epoch's number.
struct Run {
  Run() {
    CheckpointManager manager(root.path(), kOptions);
    for (int64_t epoch = 0; epoch < 3; ++epoch) {
      tensor.fill_(static_cast<double>(epoch));
      manager.save(state(), {epoch});
    }
    tensor.fill_(-1);
  }
  State state() {
    State result;
    result.add("tensor", tensor);
    return result;
  }
  void damage(const std::string& name) {
    const std::string path = root / (name + "/checkpoint.pt");
    test::flip_bit(path, fs::file_size(path) / 2);
  }
  bool holds(double value) { return tensor.eq(value).all().item<bool>(); }

  test::TemporaryDirectory root;
  torch::Tensor tensor = torch::empty({3000000});
};

}  // namespace

TEST_CASE("A cold file is read once where the options allow the memory, and otherwise twice") {
  const auto bytes = static_cast<int64_t>(store::least_large_chunks() * base::kChunkBytes);
  torch::Tensor tensor = torch::full({bytes + 1}, 3, torch::kByte);
  State state;
  state.add("tensor", tensor).rng(false);
  const test::TemporaryDirectory root;
  test::ColdDisk disk(test::ColdDisk::Slow::kThroughCache);  // So that it is read past the cache.
  disk.per_byte_ *= 4;
  CheckpointManager manager = internal::ManagerAccess::open(disk, root.path(), kOptions);
  manager.save(state, {1});

  const auto read_by = [&](const RestoreOptions& options) {
    tensor.zero_();
    const uint64_t before = disk.read();
    manager.restore(state, "e1", options);
    CHECK(tensor.eq(3).all().item<bool>());
    return static_cast<int64_t>(disk.read() - before);
  };
  CHECK(read_by({}) >= 2 * bytes);
  CHECK(read_by(RestoreOptions().read_once(true)) < 2 * bytes);
}

TEST_CASE("A whole checkpoint is restored, whenever it is verified") {
  Run run;
  State state = run.state();
  CheckpointManager manager(run.root.path(), kOptions);
  const Verify verify = GENERATE(Verify::kBefore, Verify::kWhileReading, Verify::kNever);
  REQUIRE(manager.restore_latest(state, RestoreOptions().verify(verify)));
  CHECK(run.holds(2));
}

TEST_CASE("Damage found before leaves the live state as it is; found while reading, it says so") {
  Run run;
  run.damage("e1");
  State state = run.state();
  CheckpointManager manager(run.root.path(), kOptions);
  CHECK(contains(error_of([&] { manager.restore(state, "e1"); }), "corrupt: "));
  CHECK(run.holds(-1));
  const std::string error = error_of(
      [&] { manager.restore(state, "e1", RestoreOptions().verify(Verify::kWhileReading)); });
  CHECK(contains(error, "corrupt: "));
  CHECK(contains(error, "part of the live state was already written"));
  // Nothing checks the digests.
  manager.restore(state, "e1", RestoreOptions().verify(Verify::kNever));
  CHECK_FALSE(run.holds(1));
}

TEST_CASE("restore_latest goes on to an older checkpoint when damage is found while reading") {
  Run run;
  run.damage("e2");
  State state = run.state();
  CheckpointManager manager(run.root.path(), kOptions);
  const auto restored =
      manager.restore_latest(state, RestoreOptions().verify(Verify::kWhileReading));
  REQUIRE(restored);
  CHECK(run.holds(1));
  REQUIRE(restored->skipped.size() == 1);
  CHECK(restored->skipped[0].name == "e2.corrupt");
}

TEST_CASE("After damage found while reading, an error says that the live state is spoilt") {
  Run run;
  run.damage("e2");
  State state = run.state();
  CheckpointManager manager(run.root.path(), kOptions);
  const RestoreOptions options = RestoreOptions().verify(Verify::kWhileReading);
  SECTION("when no other is whole") {
    run.damage("e1");
    run.damage("e0");
    CHECK(contains(error_of([&] { manager.restore_latest(state, options); }),
                   "part of the live state was already written"));
  }
  SECTION("when an older one does not fit") {
    fs::remove_all(run.root / "e1");
    fs::remove_all(run.root / "e0");
    {
      torch::Tensor other = torch::zeros({3});
      State smaller;
      smaller.add("tensor", other);
      // Older than e2 by its sequence.
      const test::TemporaryDirectory elsewhere;
      CheckpointManager(elsewhere.path(), kOptions).save(smaller, {0});
      fs::copy(elsewhere / "e0", run.root / "e0", fs::copy_options::recursive);
    }
    const std::string error = error_of([&] { manager.restore_latest(state, options); });
    CHECK(contains(error, "incompatible: "));
    CHECK(contains(error, "must not be used"));
  }
}

TEST_CASE("A truncated archive is found in any case") {
  Run run;
  fs::resize_file(run.root / "e2/checkpoint.pt", 1000);
  State state = run.state();
  CheckpointManager manager(run.root.path(), kOptions);
  const Verify verify = GENERATE(Verify::kBefore, Verify::kWhileReading, Verify::kNever);
  CHECK(contains(error_of([&] { manager.restore(state, "e2", RestoreOptions().verify(verify)); }),
                 "when it was saved"));
  CHECK(run.holds(-1));
}
