#include "ranks/ranks.h"
#include "support/catch.h"
#include "support/tcp_stores.h"
#include "support/temporary_directory.h"

#include <checkpoint/c10d.h>
#include <checkpoint/checkpoint.h>

#include <torch/torch.h>
#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

using namespace checkpoint;
using Store = c10::intrusive_ptr<c10d::Store>;

namespace {

constexpr int kRanks = 3;

// The store of each rank.
std::vector<Store> file_stores(const std::string& path) {
  std::vector<Store> stores;
  while (stores.size() < kRanks) {
    stores.push_back(c10::make_intrusive<c10d::FileStore>(path, kRanks));
  }
  return stores;
}

std::vector<Store> hash_stores() {
  const auto shared = c10::make_intrusive<c10d::HashStore>();
  return std::vector<Store>(kRanks, c10::make_intrusive<c10d::PrefixStore>("checkpoints", shared));
}

}  // namespace

TEST_CASE("Ranks meet over every store of c10d") {
  const test::TemporaryDirectory root;
  const std::string kind = GENERATE("tcp", "file", "hash");
  CAPTURE(kind);
  const std::vector<Store> stores = kind == "tcp"    ? test::tcp_stores(kRanks)
                                    : kind == "file" ? file_stores(root / "store")
                                                     : hash_stores();
  std::vector<int64_t> restored(kRanks);
  const auto errors = test::run_ranks(kRanks, [&](int rank) {
    torch::Tensor tensor = torch::full({5}, 1);
    int64_t own = rank;
    State state;
    state.add("tensor", tensor).add("own", own, PerRank()).rng(false);
    CheckpointManager manager(
        root / "runs", CheckpointManagerOptions().coordinator(
                           c10d_coordinator(stores[static_cast<size_t>(rank)], rank, kRanks)));
    for (int64_t epoch = 0; epoch < 3; ++epoch) {
      tensor.fill_(epoch);
      own = epoch * 10 + rank;
      manager.save(state, {epoch});
    }
    tensor.fill_(-1);
    own = -1;
    manager.restore_latest(state);
    restored[static_cast<size_t>(rank)] = tensor.eq(2).all().item<bool>() ? own : -1;
  });
  CHECK(errors == test::no_errors(kRanks));
  CHECK(restored == std::vector<int64_t>{20, 21, 22});
}

TEST_CASE("A c10d coordinator needs a store and a rank below the size") {
  CHECK_THROWS_AS(c10d_coordinator(Store(), 0, 1), Error);
  CHECK_THROWS_AS(c10d_coordinator(c10::make_intrusive<c10d::HashStore>(), 2, 2), Error);
}

// TCPStore takes 200 ms to answer with an empty value.
TEST_CASE("A c10d coordinator puts no empty value into the store") {
  const auto store = c10::make_intrusive<c10d::HashStore>();
  const auto coordinator = c10d_coordinator(store, 0, 2);
  for (const std::string value : {"", "=", "text"}) {
    coordinator->put("key", value);
    CHECK(store->get("key").size() == value.size() + 1);
    CHECK(coordinator->try_get("key") == value);
  }
  coordinator->erase("key");
  CHECK_FALSE(coordinator->try_get("key"));
}
