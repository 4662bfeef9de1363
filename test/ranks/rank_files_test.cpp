// The files of several ranks as one tree: items of every kind, and tables that contradict the
// files.

#include "format/torch/rank_files.h"
#include "ranks/ranks.h"
#include "state/snapshot/capture.h"
#include "store/directory/verify.h"
#include "support/catch.h"
#include "support/error_of.h"
#include "support/every_kind.h"
#include "support/fingerprint.h"
#include "support/temporary_directory.h"

#include <checkpoint/checkpoint.h>

#include <torch/torch.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace checkpoint;
using kinds::EveryKind;
using store::TensorEntry;
using store::TensorTable;
using test::coordinators;
using test::no_errors;
using test::run_ranks;

namespace {

CheckpointManagerOptions formatted(const std::shared_ptr<Coordinator>& coordinator,
                                   Format format = Format::kArchive) {
  return CheckpointManagerOptions().name("e{epoch}").format(format).coordinator(coordinator);
}

std::string fingerprint_of(const State& state) {
  return test::fingerprint(state::capture(state, Progress()).tree);
}

// Two tensors that two ranks share, one of them in two parts, and one of each rank's own.
class TwoRanks {
 public:
  TwoRanks() {
    const auto all = coordinators(2);
    const auto errors = run_ranks(2, [&](int rank) {
      torch::Tensor large = torch::arange(1000 * 600, torch::kFloat).view({1000, 600});
      torch::Tensor small = torch::arange(6, torch::kLong);
      int64_t own = rank;
      State state;
      state.add("large", large).add("small", small).add("own", own, PerRank()).rng(false);
      CheckpointManager(root_.path(), formatted(all[static_cast<size_t>(rank)])).save(state, {1});
    });
    REQUIRE(errors == no_errors(2));
    checkpoint_ = store::open_checkpoint(store::posix_file_system(), root_ / "e1", Verify::kBefore);
    contents_ = checkpoint_.contents();
    for (const FileEntry* entry : checkpoint_.content_entries()) names_.push_back(entry->name);
  }

  TensorTable table() const { return checkpoint_.tensor_table(); }

  format::RankView read(const TensorTable& table, int64_t rank = 0) const {
    const format::Sources sources = [&](size_t i) -> const store::ByteSource& {
      return *contents_.at(i).file;
    };
    return format::read_rank_files(sources, names_, checkpoint_.manifest, table, rank);
  }

 private:
  test::TemporaryDirectory root_;
  store::VerifiedCheckpoint checkpoint_;
  std::vector<store::ContentFile> contents_;
  std::vector<std::string> names_;
};

TensorEntry& entry_of(TensorTable& table, const std::string& key) {
  return *std::find_if(table.tensors.begin(), table.tensors.end(),
                       [&](const TensorEntry& entry) { return entry.key == key; });
}

}  // namespace

TEST_CASE("Items of every kind come back from the files of several ranks") {
  const Format format = GENERATE(Format::kArchive, Format::kPth);
  const int saving = GENERATE(2, 3);
  const int restoring = GENERATE(1, 2);
  constexpr bool kPlateau = TORCH_CHECKPOINT_HAS_PLATEAU;
  const test::TemporaryDirectory root;
  EveryKind expected(true);
  const std::string wanted = fingerprint_of(expected.state(kPlateau).rng(false));
  std::vector<std::unique_ptr<EveryKind>> worlds;
  for (int rank = 0; rank < saving; ++rank) worlds.push_back(std::make_unique<EveryKind>(true));
  const auto savers = coordinators(saving);
  const auto errors = run_ranks(saving, [&](int rank) {
    State state = worlds[static_cast<size_t>(rank)]->state(kPlateau);
    state.rng(false);
    CheckpointManager(root.path(), formatted(savers[static_cast<size_t>(rank)], format))
        .save(state, {1});
  });
  REQUIRE(errors == no_errors(saving));

  worlds.clear();
  for (int rank = 0; rank < restoring; ++rank) worlds.push_back(std::make_unique<EveryKind>(false));
  const auto restorers = coordinators(restoring);
  CHECK(run_ranks(restoring, [&](int rank) {
          State state = worlds[static_cast<size_t>(rank)]->state(kPlateau);
          state.rng(false);
          CheckpointManager(root.path(), formatted(restorers[static_cast<size_t>(rank)]))
              .restore(state, "e1", RestoreOptions().restore_modes(true));
        }) == no_errors(restoring));
  for (const auto& world : worlds) {
    CHECK(fingerprint_of(world->state(kPlateau).rng(false)) == wanted);
    CHECK(world->net->a->weight.is_same(world->net->b->weight));
    CHECK_FALSE(world->net->a->bias.requires_grad());
    CHECK_FALSE(world->net->norm->is_training());
  }
}

TEST_CASE("Each rank sees what is shared, and what it had for itself") {
  const TwoRanks ranks;
  for (const int64_t rank : {0, 1, 2}) {
    const format::RankView view = ranks.read(ranks.table(), rank);
    const Dict& tree = view.archive.tree().dict();
    CHECK(tree.at("large").to_tensor().sizes() == torch::IntArrayRef({1000, 600}));
    CHECK_FALSE(tree.contains("tensors"));
    CHECK(view.absent ==
          (rank == 2 ? std::vector<std::string>{"own"} : std::vector<std::string>{}));
    if (rank < 2) CHECK(tree.at("own").to_int() == rank);
  }
}

TEST_CASE("A table that contradicts the files of the ranks is refused") {
  const TwoRanks ranks;
  const auto refused = [&](const std::function<void(TensorTable&)>& change) {
    TensorTable table = ranks.table();
    REQUIRE(entry_of(table, "large").parts.size() == 2);
    change(table);
    return error_of([&] { ranks.read(table); });
  };
  CHECK(refused([](TensorTable&) {}) == "");
  const std::vector<std::pair<std::string, std::function<void(TensorTable&)>>> changes = {
      {"overlap", [](auto& table) { entry_of(table, "large").parts[1].at[0] -= 1; }},
      {"do not cover it", [](auto& table) { entry_of(table, "large").parts.pop_back(); }},
      {"reaches outside of it", [](auto& table) { entry_of(table, "large").parts[1].at[0] += 1; }},
      {"reaches outside of it", [](auto& table) { entry_of(table, "large").parts[0].at = {0}; }},
      {"reaches outside of it",
       [](auto& table) {
         entry_of(table, "large").parts[0].shape = {INT64_MAX, INT64_MAX};
       }},
      {"too large",
       [](auto& table) {
         entry_of(table, "large").shape = {INT64_MAX, INT64_MAX};
       }},
      {"places a tensor outside",
       [](auto& table) { entry_of(table, "large").parts[1].offset = uint64_t{1} << 40; }},
      {"places a tensor outside",
       [](auto& table) { entry_of(table, "large").parts[1].bytes = UINT64_MAX; }},
      {"which the manifest does not",
       [](auto& table) { entry_of(table, "large").parts[1].file = "other.pt"; }},
      {"the dtype of 'large' differs",
       [](auto& table) { entry_of(table, "large").dtype = "float64"; }},
      {"does not name the tensor 'small'", [](auto& table) { entry_of(table, "small").key = "x"; }},
      {"more tensors than the tree has",
       [](auto& table) { table.tensors.push_back(entry_of(table, "small")); }},
      {"not a device's name", [](auto& table) { entry_of(table, "large").device = "a b"; }},
  };
  for (const auto& [wanted, change] : changes) {
    const std::string error = refused(change);
    INFO(wanted << " / " << error);
    CHECK(contains(error, "corrupt: "));
    CHECK(contains(error, wanted));
  }
}
