// Golden checkpoints, as in golden_test.cpp, of all other kinds of items: each directory in golden/
// has one under the name "kinds", and those of a LibTorch that has more dtypes than 1.13 one under
// the name "dtypes".
//
//   CHECKPOINT_GOLDEN=test/golden/libtorch-X.Y manager_test "Write golden files of every kind"

#include "support/catch.h"
#include "support/error_of.h"
#include "support/every_kind.h"
#include "support/fingerprint.h"
#include "support/models.h"
#include "support/new_dtypes.h"

#include "state/snapshot/capture.h"

#include <checkpoint/checkpoint.h>

#include <torch/torch.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

using namespace checkpoint;
using kinds::EveryKind;
using test::fingerprint;
using test::same_bits;
using torch::serialize::InputArchive;
namespace fs = std::filesystem;

namespace {

// Tensors of the dtypes that LibTorch has gained since 1.13, by name; empty on 1.13. Their bits are
// the numbers from 1 on, which means something in each.
Dict new_dtypes() {
  Dict tensors;
  for (const c10::ScalarType dtype : test::new_dtypes()) {
    const auto bytes = static_cast<int64_t>(c10::elementSize(dtype));
    tensors.insert(c10::toString(dtype),
                   torch::arange(1, 1 + 6 * bytes, torch::kUInt8).view(dtype));
  }
  return tensors;
}

constexpr char kKinds[] = "kinds";
constexpr char kDtypes[] = "dtypes";

std::vector<std::string> directories_with(const std::string& checkpoint) {
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(TORCH_CHECKPOINT_GOLDEN)) {
    if (fs::exists(entry.path() / checkpoint / "manifest.json"))
      paths.push_back(entry.path().string());
  }
  return paths;
}

bool has_item(const CheckpointManager& manager, const std::string& checkpoint,
              const std::string& item) {
  for (const CheckpointInfo& info : manager.list()) {
    if (info.name != checkpoint) continue;
    const auto& items = info.manifest.items;
    return std::any_of(items.begin(), items.end(),
                       [&](const ItemEntry& entry) { return entry.name == item; });
  }
  return false;
}

std::string fingerprint_of(const State& state) {
  const state::Capture captured = state::capture(state, {});
  Dict tree;
  // The length of a generator's state depends on LibTorch's version.
  for (const auto& [key, value] : captured.tree.dict()) {
    if (key != Key("rng")) tree.insert(key, value);
  }
  return fingerprint(tree);
}

torch::Tensor draws() { return torch::randint(1 << 20, {8}); }

}  // namespace

TEST_CASE("There are golden checkpoints of every kind, of the oldest and the newest LibTorch") {
  CHECK(directories_with(kKinds).size() >= 2);
  CHECK(directories_with(kDtypes).size() >= 1);
}

TEST_CASE("Items of every kind restore from checkpoints of every version") {
  for (const std::string& path : directories_with(kKinds)) {
    INFO(path);
    CheckpointManager manager(path);
    manager.verify(kKinds);
    const bool with_plateau = TORCH_CHECKPOINT_HAS_PLATEAU && has_item(manager, kKinds, "plateau");
    EveryKind live(false), expected(true);
    State state = live.state(with_plateau);
    REQUIRE(fingerprint_of(state) != fingerprint_of(expected.state(with_plateau)));
    torch::manual_seed(8);
    const Restored restored = manager.restore(state, kKinds, RestoreOptions().restore_modes(true));
    const torch::Tensor drawn = draws();
    torch::manual_seed(7);
    CHECK(same_bits(drawn, draws()));
    CHECK(restored.progress().step == 30);
    CHECK(restored.report.fits());
    CHECK(fingerprint_of(state) == fingerprint_of(expected.state(with_plateau)));
    // What the tree does not hold.
    CHECK(live.net->a->weight.is_same(live.net->b->weight));
    CHECK_FALSE(live.net->a->bias.requires_grad());
    CHECK(live.net->is_training());
    CHECK_FALSE(live.net->norm->is_training());
    CHECK(live.archived.device.is_cpu());
    for (ResumableSampler* sampler : {&live.resumable, &expected.resumable}) {
      sampler->set_epoch(2);
      sampler->reset();
    }
    CHECK(live.resumable.next(7) == expected.resumable.next(7));
  }
}

TEST_CASE("Plain LibTorch of this version opens checkpoints of every kind and version") {
  const EveryKind expected(true);
  for (const std::string& path : directories_with(kKinds)) {
    INFO(path);
    InputArchive archive, net, average;
    archive.load_from(path + "/" + kKinds + "/checkpoint.pt");
    kinds::NetImpl live;
    archive.read("net", net);
    live.load(net);
    CHECK(same_bits(live, *expected.net));
    CHECK(live.counting->count == 7);
    archive.read("average", average);
    torch::Tensor mean;
    average.read("mean", mean, /*is_buffer=*/true);
    CHECK(same_bits(mean, expected.average.mean));
  }
}

TEST_CASE("Dtypes that this LibTorch has come back from every version's files, others are named") {
  for (const std::string& path : directories_with(kDtypes)) {
    INFO(path);
    CheckpointManager manager(path);
    Value live;
    State state;
    state.add("dtypes", live).rng(false);
    const std::string error = error_of([&] { manager.restore(state, kDtypes); });
    // The file has all of them, and a restore is all or nothing.
    if (test::new_dtypes().size() < test::names_of_new_dtypes().size()) {
      INFO(error);
      CHECK(contains(error, "unsupported: "));
      CHECK(contains(error, "that this LibTorch does not have"));
    } else {
      CHECK(error.empty());
      CHECK(fingerprint(live) == fingerprint(new_dtypes()));
    }
  }
}

TEST_CASE("Write golden files of every kind", "[.]") {
  const char* const directory = std::getenv("CHECKPOINT_GOLDEN");
  REQUIRE(directory != nullptr);
  EveryKind world(true);
  torch::manual_seed(7);
  CheckpointManager kinds(directory, CheckpointManagerOptions().name(kKinds).lock(false));
  kinds.save(world.state(/*with_plateau=*/true), {3, 30, 0.25});
  Value tensors = new_dtypes();
  if (tensors.dict().empty()) return;
  State state;
  state.add("dtypes", tensors).rng(false);
  CheckpointManager dtypes(directory, CheckpointManagerOptions().name(kDtypes).lock(false));
  dtypes.save(state, {});
}
