// Tensors of which each rank holds a part.

#include "compat/torch_compat.h"
#include "ranks/ranks.h"
#include "support/catch.h"
#include "support/error_of.h"
#include "support/every_kind.h"
#include "support/temporary_directory.h"

#include <checkpoint/checkpoint.h>

#include <torch/torch.h>

#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

using namespace checkpoint;
using test::coordinators;
using test::no_errors;
using test::run_ranks;

namespace {

using Sizes = std::vector<int64_t>;

// Which part of a tensor a rank holds, if a grid of ranks divides it. The parts differ in size.
struct Region {
  Region(const Sizes& shape, const Sizes& grid, int64_t rank) {
    for (size_t i = shape.size(); i-- > 0;) {
      const int64_t place = rank % grid[i];
      rank /= grid[i];
      at.insert(at.begin(), shape[i] * place / grid[i]);
      sizes.insert(sizes.begin(), shape[i] * (place + 1) / grid[i] - at.front());
    }
  }

  torch::Tensor of(torch::Tensor whole) const {
    for (size_t i = 0; i < at.size(); ++i) {
      whole = whole.narrow(static_cast<int64_t>(i), at[i], sizes[i]);
    }
    return whole.clone();
  }

  Sizes at, sizes;
};

// The tensors as one rank alone would have them.
struct Wholes {
  explicit Wholes(uint64_t seed) {
    const auto generator = torch::make_generator<at::CPUGeneratorImpl>(seed);
    for (const Sizes& shape : {Sizes{13, 10}, Sizes{10, 13}, Sizes{8, 9, 5}, Sizes{3}}) {
      weights.push_back(torch::randn(shape, generator));
      gradients.push_back(torch::randn(shape, generator));
    }
    cache =
        torch::randn({700, 900}, generator);  // Large enough for a slice of it to be read alone.
    moment = torch::randn({17, 3}, generator).to(torch::kDouble);
  }
  std::vector<torch::Tensor> weights, gradients;
  torch::Tensor cache, moment;
};

// Divides by rows, by columns, in blocks, and a small one, of which some ranks have nothing.
std::vector<Sizes> grids(int64_t size) {
  const int64_t half = size % 2 == 0 ? size / 2 : size;
  return {{size, 1}, {1, size}, {size / half, 1, half}, {size}};
}

// An object with a state_dict of its own, such as an optimizer whose state is divided.
struct Moments {
  Value state_dict() const { return Dict{{"moment", moment}}; }
  void load_state_dict(const Value& saved) { moment.copy_(saved["moment"].to_tensor()); }
  torch::Tensor moment;
};

// What one rank of a tensor-parallel training holds.
struct Part : torch::nn::Module {
  Part(const Wholes& wholes, int64_t rank, int64_t size) {
    for (size_t i = 0; i < wholes.weights.size(); ++i) {
      regions.emplace_back(wholes.weights[i].sizes().vec(), grids(size)[i], rank);
      weights.push_back(
          register_parameter("w" + std::to_string(i), regions[i].of(wholes.weights[i])));
      state.shard({wholes.weights[i].sizes().vec(), regions[i].at, weights[i]});
    }
    optimizer = std::make_unique<torch::optim::Adam>(weights, torch::optim::AdamOptions(0.1));
    const Region of_cache({700, 900}, {1, size}, rank);
    cache = of_cache.of(wholes.cache);
    const Region of_moment({17, 3}, {size, 1}, rank);
    moments.moment = of_moment.of(wholes.moment);
    replicated = wholes.weights[0].clone();
    state.add("model", *this).add("optimizer", *optimizer).add("cache", cache);
    state.add("moments", moments).add("replicated", replicated).rng(false);
    state.shard({{700, 900}, of_cache.at, cache});
    state.shard({{17, 3}, of_moment.at, moments.moment});
  }

  void step(const Wholes& wholes) {
    for (size_t i = 0; i < weights.size(); ++i) {
      weights[i].mutable_grad() = regions[i].of(wholes.gradients[i]);
    }
    optimizer->step();
  }

  // All tensors that are divided, in one order on all ranks.
  std::vector<torch::Tensor> tensors() const {
    std::vector<torch::Tensor> all;
    for (const torch::Tensor& weight : weights) {
      all.push_back(weight.detach());
      const auto found = optimizer->state().find(compat::state_key(weight));
      if (found == optimizer->state().end()) continue;
      const auto& adam = static_cast<const torch::optim::AdamParamState&>(*found->second);
      all.push_back(adam.exp_avg());
      all.push_back(adam.exp_avg_sq());
    }
    all.push_back(cache);
    all.push_back(moments.moment);
    return all;
  }

  std::vector<Region> regions;
  std::vector<torch::Tensor> weights;
  std::unique_ptr<torch::optim::Adam> optimizer;
  torch::Tensor cache, replicated;
  Moments moments;
  State state;
};

using Parts = std::vector<std::unique_ptr<Part>>;

Parts make_parts(const Wholes& wholes, int size) {
  Parts parts;
  for (int rank = 0; rank < size; ++rank) {
    parts.push_back(std::make_unique<Part>(wholes, rank, size));
  }
  return parts;
}

CheckpointManagerOptions patient(const std::shared_ptr<Coordinator>& coordinator) {
  return CheckpointManagerOptions().coordinator(coordinator).timeout(std::chrono::minutes(1));
}

std::vector<std::string> on_ranks(const std::string& root, int size,
                                  const std::function<void(int, CheckpointManager&)>& work,
                                  const std::function<void(CheckpointManagerOptions&)>& set = {}) {
  const auto all = coordinators(size);
  return run_ranks(size, [&](int rank) {
    CheckpointManagerOptions chosen = patient(all[static_cast<size_t>(rank)]);
    if (set) set(chosen);
    CheckpointManager manager(root, chosen);
    work(rank, manager);
    manager.wait();
  });
}

// Saves one tensor, of which rank r holds `parts[r]` at `offsets[r]`. Returns all errors.
std::vector<std::string> save_tensor(const Sizes& whole, const std::vector<Sizes>& offsets,
                                     std::vector<torch::Tensor> parts, const Sizes& replicas = {}) {
  const test::TemporaryDirectory root;
  std::vector<State> states(parts.size());
  for (size_t rank = 0; rank < parts.size(); ++rank) {
    states[rank].add("table", parts[rank]).rng(false);
    states[rank].shard({whole, offsets[rank], parts[rank], replicas.empty() ? 0 : replicas[rank]});
  }
  return on_ranks(root / "runs", static_cast<int>(parts.size()),
                  [&](int rank, CheckpointManager& manager) {
                    manager.save(states[static_cast<size_t>(rank)], {0});
                  });
}

}  // namespace

TEST_CASE("Parts of tensors come back on any number of ranks") {
  const test::TemporaryDirectory root;
  const bool async = GENERATE(false, true);
  const Format format = GENERATE(Format::kArchive, Format::kPth);
  const Wholes wholes(1);
  Parts saved = make_parts(wholes, 4);
  for (const auto& part : saved) part->step(wholes);
  const auto errors = on_ranks(
      root / "runs", 4,
      [&](int rank, CheckpointManager& manager) {
        manager.save(saved[static_cast<size_t>(rank)]->state, {0});
      },
      [&](CheckpointManagerOptions& chosen) { chosen.async(async).format(format); });
  REQUIRE(errors == no_errors(4));

  for (const int size : {1, 2, 3, 4, 6}) {
    CAPTURE(size);
    const Wholes other(2);
    Parts expected = make_parts(wholes, size);
    Parts restored = make_parts(other, size);
    const auto failures = on_ranks(root / "runs", size, [&](int rank, CheckpointManager& manager) {
      const auto found = manager.restore_latest(restored[static_cast<size_t>(rank)]->state);
      if (!found) throw std::runtime_error("nothing was restored");
    });
    REQUIRE(failures == no_errors(size));
    for (int rank = 0; rank < size; ++rank) {
      Part& one = *expected[static_cast<size_t>(rank)];
      one.step(wholes);
      const auto wanted = one.tensors();
      const auto found = restored[static_cast<size_t>(rank)]->tensors();
      REQUIRE(found.size() == wanted.size());
      for (size_t i = 0; i < wanted.size(); ++i) {
        CAPTURE(rank, i);
        CHECK(torch::equal(found[i], wanted[i]));
      }
      CHECK(torch::equal(restored[static_cast<size_t>(rank)]->replicated, wholes.weights[0]));
    }
  }
}

TEST_CASE("A process without a coordinator takes the whole, or the part that it asks for") {
  const test::TemporaryDirectory root;
  const Wholes wholes(3);
  Parts saved = make_parts(wholes, 4);
  REQUIRE(on_ranks(root / "runs", 4, [&](int rank, CheckpointManager& manager) {
            manager.save(saved[static_cast<size_t>(rank)]->state, {0});
          }) == no_errors(4));
  const std::string path = CheckpointManager(root / "runs").latest()->path;

  const auto loaded = load(path);
  CHECK(torch::equal(loaded["cache"].to_tensor(), wholes.cache));
  CHECK(torch::equal(loaded["model"]["w2"].to_tensor(), wholes.weights[2]));

  torch::Tensor middle = torch::zeros({2, 900});
  State state;
  state.add("cache", middle).rng(false);
  state.shard({{700, 900}, {350, 0}, middle});
  CheckpointManager(root / "runs", CheckpointManagerOptions().read_only(true))
      .restore_latest(state, RestoreOptions().items({"cache"}));
  CHECK(torch::equal(middle, wholes.cache.narrow(0, 350, 2)));
}

TEST_CASE("What one process has saved whole is divided among ranks") {
  const test::TemporaryDirectory root;
  const Wholes wholes(4);
  Part alone(wholes, 0, 1);
  CheckpointManager(root / "runs").save(alone.state, {0});
  Parts restored = make_parts(Wholes(5), 3);
  REQUIRE(on_ranks(root / "runs", 3, [&](int rank, CheckpointManager& manager) {
            manager.restore_latest(restored[static_cast<size_t>(rank)]->state);
          }) == no_errors(3));
  for (int64_t rank = 0; rank < 3; ++rank) {
    const auto found = restored[static_cast<size_t>(rank)]->tensors();
    const auto wanted = Part(wholes, rank, 3).tensors();
    for (size_t i = 0; i < wanted.size(); ++i) CHECK(torch::equal(found[i], wanted[i]));
  }
}

TEST_CASE("Of a part that several ranks hold, one copy is written") {
  const test::TemporaryDirectory root;
  const torch::Tensor whole = torch::arange(40).view({8, 5});
  std::vector<torch::Tensor> parts;
  std::vector<State> states(4);
  for (int64_t rank = 0; rank < 4; ++rank)
    parts.push_back(whole.narrow(0, rank % 2 * 4, 4).clone());
  for (size_t rank = 0; rank < 4; ++rank) {
    states[rank].add("table", parts[rank]).rng(false);
    states[rank].shard({{8, 5},
                        {static_cast<int64_t>(rank % 2) * 4, 0},
                        parts[rank],
                        static_cast<int64_t>(rank / 2)});
  }
  REQUIRE(on_ranks(root / "runs", 4, [&](int rank, CheckpointManager& manager) {
            manager.save(states[static_cast<size_t>(rank)], {0});
          }) == no_errors(4));
  for (torch::Tensor& part : parts) part.fill_(-1);
  REQUIRE(on_ranks(root / "runs", 4, [&](int rank, CheckpointManager& manager) {
            manager.restore_latest(states[static_cast<size_t>(rank)]);
          }) == no_errors(4));
  for (int64_t rank = 0; rank < 4; ++rank) {
    CHECK(torch::equal(parts[static_cast<size_t>(rank)], whole.narrow(0, rank % 2 * 4, 4)));
  }
}

TEST_CASE("Parts that leave a gap or overlap are refused, with their place") {
  const auto zeros = [](Sizes sizes) { return torch::zeros(sizes); };
  for (const std::string& error :
       save_tensor({8, 4}, {{0, 0}, {5, 0}}, {zeros({4, 4}), zeros({3, 4})})) {
    CHECK(contains(error, "incompatible: "));
    CHECK(contains(error,
                   "the parts of the tensor 'table', whose sizes are [8, 4], do not cover it: no "
                   "rank writes the element [4, 0]"));
  }
  for (const std::string& error :
       save_tensor({8, 4}, {{0, 0}, {3, 2}}, {zeros({8, 3}), zeros({2, 2})})) {
    CHECK(contains(error, "overlap: [0:8, 0:3] of rank 0, and [3:5, 2:4] of rank 1"));
  }
  for (const std::string& error :
       save_tensor({8, 4}, {{0, 0}, {0, 0}}, {zeros({8, 4}), zeros({8, 4})}, {1, 2})) {
    CHECK(contains(error, "no rank writes the element [0, 0]"));
  }
  // The ranks do not agree about the whole.
  const test::TemporaryDirectory root;
  std::vector<torch::Tensor> parts = {zeros({2}), zeros({2})};
  std::vector<State> states(2);
  for (size_t rank = 0; rank < 2; ++rank) states[rank].add("table", parts[rank]).rng(false);
  states[0].shard({{4}, {0}, parts[0]});
  for (const std::string& error : on_ranks(root / "runs", 2, [&](int rank, auto&manager) {
         manager.save(states[static_cast<size_t>(rank)], {0});
       })) {
    CHECK(contains(error,
                   "'table': float32 [4], in parts on rank 0, 'table': float32 [2] on rank 1"));
  }
  CHECK(CheckpointManager(root / "runs").list().empty());
}

TEST_CASE("A rank alone cannot save a part, and says which") {
  const test::TemporaryDirectory root;
  torch::Tensor part = torch::zeros({4, 4});
  State state;
  state.add("table", part).rng(false);
  state.shard({{8, 4}, {4, 0}, part});
  CheckpointManager manager(root / "runs");
  const std::string error = error_of([&] { manager.save(state, {0}); });
  CHECK(contains(error,
                 "the only rank holds [4:8, 0:4] of the tensor 'table', whose sizes are [8, 4]"));
  CHECK(contains(error, "coordinator"));
  CHECK(manager.list().empty());
}

TEST_CASE("A shard that contradicts itself, or that nothing holds, is refused") {
  torch::Tensor part = torch::zeros({4, 4});
  State state;
  state.add("table", part);
  CHECK(contains(error_of([&] {
                   state.shard({{8, 4}, {5, 0}, part});
                 }),
                 "a part of the sizes [4, 4] at [5, 0] does not lie in a whole of [8, 4]"));
  CHECK_THROWS_AS(state.shard({{8}, {0}, part}), Error);
  CHECK_THROWS_AS(state.shard({{8, 4}, {0}, part}), Error);
  CHECK_THROWS_AS(state.shard({{8, 4}, {-1, 0}, part}), Error);
  CHECK_THROWS_AS(state.shard({{8, 4}, {0, 0}, torch::Tensor()}), Error);
  CHECK_THROWS_AS(state.shard({{}, {}, torch::tensor(1.0)}), Error);
  CHECK_THROWS_AS(state.shard({{8, 4}, {0, 0}, part, -1}), Error);
  const int64_t large = int64_t{1} << 62;
  CHECK_THROWS_AS(state.shard({{large, large}, {0, 0}, part}), Error);
  state.shard({{4, 4}, {0, 0}, part});
  CHECK_THROWS_AS(state.shard({{4, 4}, {0, 0}, part}), Error);

  const test::TemporaryDirectory root;
  CheckpointManager manager(root / "runs");
  manager.save(state, {0});
  part = torch::ones({4, 4});  // Not the tensor that was described.
  CHECK(contains(error_of([&] { manager.save(state, {1}); }),
                 "which no shared item of the State holds"));
  torch::Tensor own = torch::zeros({2});
  State per_rank;
  per_rank.add("own", own, PerRank()).shard({{4}, {2}, own});
  CHECK(contains(error_of([&] { manager.save(per_rank, {1}); }), "without PerRank()"));
}

TEST_CASE("An optimizer of one's own cannot be divided, unless it is each rank's own") {
  const test::TemporaryDirectory root;
  std::vector<torch::Tensor> weights(2);
  const auto save = [&](bool per_rank) {
    return on_ranks(root / "runs", 2, [&](int rank, CheckpointManager& manager) {
      torch::Tensor& weight = weights[static_cast<size_t>(rank)];
      weight = torch::ones({4});
      kinds::HeavyBall optimizer({weight});
      State state;
      state.add("weight", weight).rng(false).shard({{8}, {4 * rank}, weight});
      per_rank ? state.add("own", optimizer, PerRank()) : state.add("own", optimizer);
      manager.save(state, {per_rank ? 1 : 0});
    });
  };
  for (const std::string& error : save(false)) {
    CHECK(contains(error, "what the optimizer 'own' keeps for a part of a larger tensor"));
  }
  CHECK(save(true) == no_errors(2));
}

TEST_CASE("An optimizer whose state is one vector cannot be divided") {
  const test::TemporaryDirectory root;
  torch::Tensor weight = torch::ones({4}, torch::requires_grad());
  torch::optim::LBFGS optimizer({weight}, torch::optim::LBFGSOptions(0.1));
  State state;
  state.add("weight", weight).add("optimizer", optimizer).shard({{8}, {0}, weight});
  CheckpointManager manager(root / "runs");
  CHECK(contains(error_of([&] { manager.save(state, {0}); }),
                 "what the optimizer 'optimizer' keeps for a part"));
}

TEST_CASE("What each rank has for itself is not divided, also for a parameter that is") {
  const test::TemporaryDirectory root;
  const auto make = [](int rank) {
    auto weight =
        std::make_unique<torch::Tensor>(torch::full({2, 3}, rank + 1.0F, torch::requires_grad()));
    auto optimizer = std::make_unique<torch::optim::SGD>(
        std::vector<torch::Tensor>{*weight}, torch::optim::SGDOptions(0.1).momentum(0.9));
    auto state = std::make_unique<State>();
    state->add("weight", *weight).add("optimizer", *optimizer, PerRank()).rng(false);
    state->shard({{4, 3}, {2 * rank, 0}, *weight});
    return std::make_tuple(std::move(weight), std::move(optimizer), std::move(state));
  };
  const auto step = [](torch::Tensor& weight, torch::optim::SGD& optimizer) {
    optimizer.zero_grad();
    weight.square().sum().backward();
    optimizer.step();
  };
  std::vector<torch::Tensor> expected(2);
  REQUIRE(on_ranks(root / "runs", 2, [&](int rank, CheckpointManager& manager) {
            auto [weight, optimizer, state] = make(rank);
            step(*weight, *optimizer);
            manager.save(*state, {0});
            step(*weight, *optimizer);
            expected[static_cast<size_t>(rank)] = weight->detach().clone();
          }) == no_errors(2));
  REQUIRE(on_ranks(root / "runs", 2, [&](int rank, CheckpointManager& manager) {
            auto [weight, optimizer, state] = make(rank);
            weight->set_data(torch::zeros({2, 3}));
            manager.restore_latest(*state);
            step(*weight, *optimizer);
            if (!torch::equal(weight->detach(), expected[static_cast<size_t>(rank)])) {
              throw std::runtime_error("the next step is another one");
            }
          }) == no_errors(2));
}

TEST_CASE("A whole of other sizes does not fit, and nothing changes") {
  const test::TemporaryDirectory root;
  torch::Tensor whole = torch::arange(12.0).view({4, 3});
  Value list = Value::List{torch::arange(6.0)};
  State one;
  one.add("table", whole).add("list", list).rng(false);
  CheckpointManager manager(root / "runs");
  manager.save(one, {0});

  // Of the size of what was saved, but a part of something larger.
  torch::Tensor part = torch::full({4, 3}, -1.0);
  Value part_list = Value::List{torch::full({6}, -1.0)};
  State state;
  state.add("table", part).add("list", part_list).rng(false);
  state.shard({{8, 3}, {0, 0}, part});
  CHECK(contains(error_of([&] { manager.restore_latest(state); }),
                 "table: shape [8, 3] over all ranks here, [4, 3] saved"));
  CHECK(part.eq(-1).all().item<bool>());
  CHECK(part_list.list()[0].to_tensor().eq(-1).all().item<bool>());

  Moments moments{torch::full({4, 3}, -1.0)};
  State object;
  object.add("moments", moments).rng(false).shard({{4, 3}, {0, 0}, moments.moment});
  manager.save(object, {1});
  torch::Tensor smaller = torch::full({2, 3}, -1.0);
  moments.moment = smaller;
  State other;
  other.add("moments", moments).rng(false).shard({{5, 3}, {0, 0}, smaller});
  CHECK(contains(error_of([&] { manager.restore_latest(other); }),
                 "shape [5, 3] over all ranks here, [4, 3] saved"));
}

TEST_CASE("Tied parts stay tied, also where a rank has nothing of them") {
  const test::TemporaryDirectory root;
  const int64_t rows[] = {0, 3, 2};
  const int64_t begin[] = {0, 0, 3};
  const torch::Tensor whole = torch::arange(10).view({5, 2});
  std::vector<torch::Tensor> first, second;
  std::vector<State> states(3);
  for (size_t rank = 0; rank < 3; ++rank) {
    first.push_back(whole.narrow(0, begin[rank], rows[rank]).clone());
    second.push_back(first.back());
  }
  for (size_t rank = 0; rank < 3; ++rank) {
    states[rank].add("first", first[rank]).add("second", second[rank]).rng(false);
    states[rank].shard({{5, 2}, {begin[rank], 0}, first[rank]});
  }
  REQUIRE(on_ranks(root / "runs", 3, [&](int rank, CheckpointManager& manager) {
            manager.save(states[static_cast<size_t>(rank)], {0});
          }) == no_errors(3));
  const auto info = *CheckpointManager(root / "runs").latest();
  const auto loaded = load(info.path);
  CHECK(torch::equal(loaded["first"].to_tensor(), whole));
  CHECK(loaded["first"].to_tensor().is_same(loaded["second"].to_tensor()));
}

TEST_CASE("A divided tensor without elements is whole on every rank") {
  const test::TemporaryDirectory root;
  std::vector<torch::Tensor> parts = {torch::empty({0, 2}), torch::empty({0, 3})};
  std::vector<State> states(2);
  for (size_t rank = 0; rank < 2; ++rank) {
    states[rank].add("empty", parts[rank]).rng(false);
    states[rank].shard({{0, 5}, {0, rank == 0 ? 0 : 2}, parts[rank]});
  }
  REQUIRE(on_ranks(root / "runs", 2, [&](int rank, CheckpointManager& manager) {
            State& state = states[static_cast<size_t>(rank)];
            manager.save(state, {0});
            manager.restore_latest(state);
          }) == no_errors(2));
  CHECK(load(CheckpointManager(root / "runs").latest()->path)["empty"].to_tensor().sizes() ==
        at::IntArrayRef({0, 5}));
}
