#include "ranks/ranks.h"
#include "support/catch.h"
#include "support/error_of.h"
#include "support/models.h"
#include "support/temporary_directory.h"

#include <checkpoint/checkpoint.h>

#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

using namespace checkpoint;
using test::coordinators;
using test::no_errors;
using test::run_ranks;

namespace fs = std::filesystem;

namespace {

// What one rank trains. The shared part depends on `seed` alone.
struct Replica {
  explicit Replica(int seed, int rank = 0)
      : net(1), wide(torch::nn::Linear(600, 700)), own(torch::full({3}, rank * 10.0 + seed)) {
    const auto generator = torch::make_generator<at::CPUGeneratorImpl>(seed);
    const torch::NoGradGuard no_grad;
    for (torch::Tensor& tensor : tensors()) {
      if (tensor.is_floating_point() && !tensor.is_same(own)) tensor.normal_(0, 1, generator);
    }
    channels =
        torch::randn({64, 8, 24, 24}, generator).contiguous(torch::MemoryFormat::ChannelsLast);
    tied = channels;
    list = Value::List{torch::randn({3}, generator), "text",
                       Value::List{torch::arange(seed, seed + 5)}};
    scalar = torch::tensor(1.5 * seed);
    empty = torch::empty({0, 3});
    count = seed;
    own_count = rank * 100 + seed;
  }

  State state() {
    State state;
    state.add("net", net).add("wide", wide).add("optimizer", optimizer);
    state.add("channels", channels).add("tied", tied).add("list", list);
    state.add("scalar", scalar).add("empty", empty).add("count", count);
    state.add("own", own, PerRank()).add("own_count", own_count, PerRank());
    state.rng(false);
    return state;
  }

  void step() {
    optimizer.zero_grad();
    wide->forward(torch::ones({2, 600})).square().mean().backward();
    optimizer.step();
  }

  std::vector<torch::Tensor> tensors() {
    std::vector<torch::Tensor> all = net->parameters();
    for (const auto& more : {net->buffers(), wide->parameters()}) {
      all.insert(all.end(), more.begin(), more.end());
    }
    return all;
  }
  std::vector<torch::Tensor> shared() {
    std::vector<torch::Tensor> all;
    for (const torch::Tensor& tensor : tensors()) all.push_back(tensor.detach().clone());
    for (const torch::Tensor& tensor : {channels, tied, scalar, empty})
      all.push_back(tensor.clone());
    all.push_back(list.list()[0].to_tensor().clone());
    all.push_back(list.list()[2].list()[0].to_tensor().clone());
    for (const auto& parameter : wide->parameters()) {
      const auto& states = optimizer.state();
      const auto found = std::find_if(states.begin(), states.end(), [&](const auto& entry) {
        return static_cast<torch::optim::AdamParamState&>(*entry.second).exp_avg().sizes() ==
               parameter.sizes();
      });
      if (found == states.end()) continue;
      all.push_back(
          static_cast<torch::optim::AdamParamState&>(*found->second).exp_avg_sq().clone());
    }
    return all;
  }

  test::Net net;
  torch::nn::Linear wide;
  torch::optim::Adam optimizer{wide->parameters(), torch::optim::AdamOptions(0.1)};
  torch::Tensor channels, tied, scalar, empty;
  Value list;
  int64_t count = 0;
  torch::Tensor own;
  int64_t own_count = 0;
};

CheckpointManagerOptions options(const std::shared_ptr<Coordinator>& coordinator) {
  return CheckpointManagerOptions()
      .name("e{epoch}")
      .coordinator(coordinator)
      .timeout(std::chrono::minutes(1));
}

// Saves on `size` ranks what replicas of `seed` hold after a step.
std::vector<std::string> save(const std::string& root, int size, int seed, bool async = false,
                              Format format = Format::kArchive) {
  const auto all = coordinators(size);
  std::vector<std::unique_ptr<Replica>> replicas;  // LibTorch's generators are the process's.
  for (int rank = 0; rank < size; ++rank) {
    replicas.push_back(std::make_unique<Replica>(seed, rank));
    replicas.back()->step();
  }
  return run_ranks(size, [&](int rank) {
    Replica& replica = *replicas[static_cast<size_t>(rank)];
    const State state = replica.state();
    CheckpointManager manager(root, options(all[rank]).async(async).format(format));
    manager.save(state, {seed});
    if (async) {
      const torch::NoGradGuard no_grad;
      for (torch::Tensor& tensor : replica.tensors()) tensor.zero_();
      replica.channels.zero_();
    }
    manager.wait();
  });
}

struct Result {
  std::vector<std::string> errors;
  std::vector<std::unique_ptr<Replica>> replicas;
  std::vector<Restored> restored;
};

Result restore(const std::string& root, int size, const RestoreOptions& restore_options = {}) {
  Result result;
  result.restored.resize(static_cast<size_t>(size));
  for (int rank = 0; rank < size; ++rank) {
    result.replicas.push_back(std::make_unique<Replica>(90, 90 + rank));
  }
  const auto all = coordinators(size);
  result.errors = run_ranks(size, [&](int rank) {
    State state = result.replicas[static_cast<size_t>(rank)]->state();
    CheckpointManager manager(root, options(size > 1 ? all[rank] : nullptr));
    result.restored[static_cast<size_t>(rank)] = *manager.restore_latest(state, restore_options);
  });
  return result;
}

std::vector<torch::Tensor> expected(int seed) {
  Replica replica(seed);
  replica.step();
  return replica.shared();
}

}  // namespace

TEST_CASE("Several ranks save one checkpoint, and any number restores it") {
  const int saving = GENERATE(2, 4);
  const int restoring = GENERATE(1, 2, 3, 4, 6);
  const bool async = GENERATE(false, true);
  const Format format = GENERATE(Format::kArchive, Format::kPth);
  CAPTURE(saving, restoring, async);
  const test::TemporaryDirectory root;
  REQUIRE(save(root.path(), saving, 1, async, format) == no_errors(saving));
  Result result = restore(root.path(), restoring);
  REQUIRE(result.errors == no_errors(restoring));
  const std::vector<torch::Tensor> wanted = expected(1);
  for (int rank = 0; rank < restoring; ++rank) {
    CAPTURE(rank);
    Replica& replica = *result.replicas[static_cast<size_t>(rank)];
    CHECK(test::same_bits(replica.shared(), wanted));
    CHECK(replica.count == 1);
    CHECK(replica.channels.is_contiguous(torch::MemoryFormat::ChannelsLast));
    const Restored& restored = result.restored[static_cast<size_t>(rank)];
    CHECK(restored.manifest.world_size == saving);
    if (rank < saving) {
      CHECK(replica.own_count == rank * 100 + 1);
      CHECK(replica.own.eq(rank * 10.0 + 1).all().item<bool>());
      CHECK(restored.report.kept_items.empty());
    } else {
      CHECK(replica.own_count == (90 + rank) * 100 + 90);
      CHECK(restored.report.kept_items == std::vector<std::string>{"own", "own_count"});
    }
  }
}

TEST_CASE("The ranks share the bytes, and each file is one that plain LibTorch reads") {
  const test::TemporaryDirectory root;
  REQUIRE(save(root.path(), 4, 1) == no_errors(4));
  const std::string path = root / "e1";
  CHECK(test::names_in(path) ==
        std::vector<std::string>{".torch-checkpoint", "checkpoint-00000-of-00004.pt",
                                 "checkpoint-00001-of-00004.pt", "checkpoint-00002-of-00004.pt",
                                 "checkpoint-00003-of-00004.pt", "manifest.json", "tensors.json"});
  const Manifest manifest = read_manifest(path);
  CHECK(manifest.format_version == 2);
  CHECK(manifest.world_size == 4);
  uint64_t least = UINT64_MAX, most = 0;
  for (int rank = 0; rank < 4; ++rank) {
    const uint64_t bytes = manifest.files.at(static_cast<size_t>(rank)).bytes;
    least = std::min(least, bytes);
    most = std::max(most, bytes);
    torch::serialize::InputArchive archive;
    archive.load_from(path + "/checkpoint-0000" + std::to_string(rank) + "-of-00004.pt");
    c10::IValue own_count;
    archive.read("own_count", own_count);
    CHECK(own_count.toInt() == rank * 100 + 1);
  }
  CHECK(static_cast<double>(least) > 0.8 * static_cast<double>(most));
  verify(path);
  const Value tree = load(path);
  CHECK(test::same_bits(tree.dict().at("channels").to_tensor(), Replica(1).channels));
  for (const ItemEntry& item : manifest.items) {
    const bool is_own = item.name == "own" || item.name == "own_count";
    CHECK(item.ranks == (is_own ? std::vector<int64_t>{0, 1, 2, 3} : std::vector<int64_t>{}));
  }
}

TEST_CASE("A world of one writes what a process alone writes") {
  const test::TemporaryDirectory root;
  Replica replica(1);
  const State state = replica.state();
  CheckpointManager(root / "alone", CheckpointManagerOptions().name("e{epoch}")).save(state, {1});
  CheckpointManager(root / "one", options(coordinators(1)[0])).save(state, {1});
  for (const char* file : {"checkpoint.pt", "tensors.json"}) {
    CHECK(test::read_file(root / "alone/e1/" + file) == test::read_file(root / "one/e1/" + file));
  }
  CHECK(read_manifest(root / "one/e1").format_version == 1);
}

TEST_CASE("Ranks that do not save the same are told how they differ") {
  const test::TemporaryDirectory root;
  const auto all = coordinators(3);
  std::vector<torch::Tensor> tensors = {torch::zeros({2, 3}), torch::zeros({2, 3}),
                                        torch::zeros({2, 4})};
  std::vector<Progress> progress = {{5}, {5}, {5}};
  std::string wanted = "'tensor': float32 [2, 3] on rank 0, 'tensor': float32 [2, 4] on rank 2";
  SECTION("in a shape") {}
  SECTION("in the progress") {
    tensors[2] = tensors[1];
    progress[2].step = 7;
    wanted = "the progress: epoch 5, step 0 on rank 0, the progress: epoch 5, step 7 on rank 2";
  }
  const auto errors = run_ranks(3, [&](int rank) {
    State state;
    state.add("tensor", tensors[static_cast<size_t>(rank)]).rng(false);
    CheckpointManager manager(root.path(), options(all[rank]));
    manager.save(state, progress[static_cast<size_t>(rank)]);
  });
  for (const std::string& error : errors) {
    CHECK(contains(error, "incompatible: "));
    CHECK(contains(error, wanted));
  }
  CHECK(CheckpointManager(root.path()).list().empty());
  CHECK(test::names_in(root.path()) == std::vector<std::string>{".lock"});
}

TEST_CASE("Replicas that differ in one bit are found, if they must agree") {
  const test::TemporaryDirectory root;
  const bool in_a_tensor = GENERATE(true, false);
  const auto all = coordinators(4);
  std::vector<std::unique_ptr<Replica>> replicas;
  for (int rank = 0; rank < 4; ++rank) replicas.push_back(std::make_unique<Replica>(1, rank));
  for (const size_t rank : {size_t{1}, size_t{3}}) {
    if (in_a_tensor) {
      static_cast<int32_t*>(replicas[rank]->channels.data_ptr())[777] ^= 1;
    } else {
      replicas[rank]->count += 1;
    }
  }
  const auto errors = run_ranks(4, [&](int rank) {
    Replica& replica = *replicas[static_cast<size_t>(rank)];
    const State state = replica.state();
    CheckpointManager(root.path(), options(all[rank])).save(state, {1});
    CheckpointManager(root.path(), options(all[rank]).replicas_must_agree(true)).save(state, {2});
  });
  for (const std::string& error : errors) {
    CAPTURE(error);
    CHECK(contains(error, in_a_tensor ? "'channels': float32 [64, 8, 24, 24], digest "
                                      : "'count': value int, values "));
    CHECK(contains(error, " on rank 1; other ranks that differ: 3"));
  }
  CHECK(CheckpointManager(root.path()).list().size() == 1);
}

TEST_CASE("If one rank cannot save, none has, and the next save works") {
  const test::TemporaryDirectory root;
  const auto all = coordinators(3);
  const int failing = GENERATE(0, 2);
  const bool async = GENERATE(false, true);
  std::vector<std::string> second(3);
  const auto errors = run_ranks(3, [&](int rank) {
    torch::Tensor tensor = torch::ones({3});
    torch::Tensor own = rank == failing ? torch::ones({2, 2}).to_sparse() : torch::ones({2});
    State state;
    state.add("tensor", tensor).add("own", own, PerRank()).rng(false);
    CheckpointManager manager(root.path(), options(all[rank]).async(async));
    std::string error;
    try {
      manager.save(state, {1});
      manager.wait();
    } catch (const Error& failure) {
      error = failure.what();
    }
    own = torch::ones({2});
    second[static_cast<size_t>(rank)] = manager.save(state, {2});
    manager.wait();
    if (!error.empty()) throw Error(ErrorCode::kUnsupported, error);
  });
  for (int rank = 0; rank < 3; ++rank) {
    CAPTURE(errors[static_cast<size_t>(rank)]);
    CHECK(contains(errors[static_cast<size_t>(rank)], "the tensor 'own' cannot be saved"));
    const bool is_told =
        contains(errors[static_cast<size_t>(rank)], "rank " + std::to_string(failing) + ": ");
    CHECK(is_told == (rank != failing));
  }
  CHECK(second == std::vector<std::string>(3, "e2"));
  CHECK(CheckpointManager(root.path()).list().size() == 1);
}

TEST_CASE("A rank that does not come to a save is named, and nothing is left") {
  const test::TemporaryDirectory root;
  const auto all = coordinators(3);
  const auto errors = run_ranks(3, [&](int rank) {
    torch::Tensor tensor = torch::ones({3});
    State state;
    state.add("tensor", tensor).rng(false);
    CheckpointManager manager(root.path(),
                              options(all[rank]).timeout(std::chrono::milliseconds(400)));
    manager.save(state, {1});
    if (rank != 1) manager.save(state, {2});
  });
  CHECK(errors[1] == "");
  CHECK(contains(errors[0], "timeout: rank 1 of 3 has not reached the save of 'e2' after 0.4 s"));
  CHECK(contains(errors[2], "timeout: "));
  CHECK(CheckpointManager(root.path()).list().size() == 1);
}

TEST_CASE("A restore changes nothing on any rank if it does not fit on one") {
  const test::TemporaryDirectory root;
  REQUIRE(save(root.path(), 2, 1) == no_errors(2));
  const auto all = coordinators(3);
  std::vector<std::unique_ptr<Replica>> replicas;
  for (int rank = 0; rank < 3; ++rank) replicas.push_back(std::make_unique<Replica>(7, rank));
  const std::vector<torch::Tensor> before = replicas[0]->shared();
  replicas[2]->scalar = torch::zeros({5});
  const auto errors = run_ranks(3, [&](int rank) {
    State state = replicas[static_cast<size_t>(rank)]->state();
    CheckpointManager manager(root.path(), options(all[rank]));
    manager.restore_latest(state);
  });
  for (int rank = 0; rank < 3; ++rank) {
    CAPTURE(errors[static_cast<size_t>(rank)]);
    CHECK(contains(errors[static_cast<size_t>(rank)], "incompatible: "));
    CHECK(contains(errors[static_cast<size_t>(rank)], "scalar: shape [5] here, [] saved"));
    CHECK(contains(errors[static_cast<size_t>(rank)], "rank 2: ") == (rank != 2));
  }
  CHECK(test::same_bits(replicas[0]->shared(), before));
  CHECK(test::same_bits(replicas[1]->shared(), before));
}

TEST_CASE("Damage in one rank's file leads all ranks to the checkpoint before") {
  const test::TemporaryDirectory root;
  REQUIRE(save(root.path(), 3, 1) == no_errors(3));
  REQUIRE(save(root.path(), 3, 2) == no_errors(3));
  const int damaged = GENERATE(0, 1, 2);
  const std::string file = root / "e2/checkpoint-0000" + std::to_string(damaged) + "-of-00003.pt";
  test::flip_bit(file, fs::file_size(file) / 2);
  Result result = restore(root.path(), GENERATE(1, 2, 3));
  for (const std::string& error : result.errors) CHECK(error == "");
  for (const auto& replica : result.replicas) {
    CHECK(test::same_bits(replica->shared(), expected(1)));
  }
  CHECK(result.restored[0].skipped.size() == 1);
  CHECK(fs::exists(root / "e2.corrupt"));
}

TEST_CASE("With nothing saved, all ranks begin anew") {
  const test::TemporaryDirectory root;
  const auto all = coordinators(2);
  std::vector<int> found(2, -1);
  const auto errors = run_ranks(2, [&](int rank) {
    Replica replica(1, rank);
    State state = replica.state();
    CheckpointManager manager(root.path(), options(all[rank]));
    found[static_cast<size_t>(rank)] = manager.restore_latest(state).has_value() ? 1 : 0;
  });
  CHECK(errors == no_errors(2));
  CHECK(found == std::vector<int>{0, 0});
}

TEST_CASE("A directory of each rank's own is found") {
  const test::TemporaryDirectory root;
  // Rank 0 waits longer, so that rank 1 is the first to say what is wrong.
  const auto short_options = [](const std::shared_ptr<Coordinator>& coordinator) {
    return options(coordinator)
        .timeout(std::chrono::milliseconds(coordinator->rank() == 0 ? 10000 : 400));
  };
  const auto directory = [&](int rank) { return root / std::to_string(rank); };
  SECTION("by the first save") {
    const auto all = coordinators(2);
    const auto errors = run_ranks(2, [&](int rank) {
      torch::Tensor tensor = torch::ones({3});
      State state;
      state.add("tensor", tensor).rng(false);
      CheckpointManager manager(directory(rank), short_options(all[rank]));
      manager.save(state, {1});
    });
    CHECK(contains(errors[1], "rank 1 does not see what rank 0 writes into this directory"));
    CHECK(errors[0] != "");
  }
  SECTION("by the first restore") {
    REQUIRE(save(directory(GENERATE(0, 1)), 1, 1) == no_errors(1));
    const auto all = coordinators(2);
    const auto errors = run_ranks(2, [&](int rank) {
      Replica replica(1, rank);
      State state = replica.state();
      CheckpointManager manager(directory(rank), short_options(all[rank]));
      manager.restore_latest(state);
    });
    CHECK(contains(errors[1], "unsupported: "));
  }
}

TEST_CASE("What only rank 0 can decide, all ranks do after the same step") {
  const test::TemporaryDirectory root;
  const auto all = coordinators(3);
  std::vector<std::vector<int64_t>> saved(3);
  std::vector<char> stopped(3);
  // Gradients keep the ranks together: none ends a step before all have begun it.
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<int64_t> begun(3);
  const auto begin_step = [&](int rank, int64_t step) {
    std::unique_lock<std::mutex> lock(mutex);
    begun[static_cast<size_t>(rank)] = step;
    changed.notify_all();
    changed.wait(lock, [&] { return *std::min_element(begun.begin(), begun.end()) >= step; });
  };
  const bool by_signal = GENERATE(false, true);
  const auto errors = run_ranks(3, [&](int rank) {
    torch::Tensor tensor = torch::ones({3});
    State state;
    state.add("tensor", tensor).rng(false);
    auto own = options(all[rank]).name("s{step}");
    if (by_signal) {
      own.stop_on_signal({SIGUSR1});
    } else {
      own.when([rank](const Progress& progress) {
        return rank == 0 ? progress.step % 5 == 0 : progress.step % 3 == 0;
      });
    }
    CheckpointManager manager(root.path(), own);
    for (int64_t step = 1; step <= 20 && !manager.should_stop(); ++step) {
      begin_step(rank, step);
      if (by_signal && rank == 2 && step == 7) ::raise(SIGUSR1);
      Progress progress;
      progress.step = step;
      if (manager.save_if_due(state, progress)) saved[static_cast<size_t>(rank)].push_back(step);
      if (manager.should_stop()) stopped[static_cast<size_t>(rank)] = 1;
    }
    begin_step(rank, 100);
  });
  CHECK(errors == no_errors(3));
  CHECK(saved[0] == saved[1]);
  CHECK(saved[0] == saved[2]);
  if (by_signal) {
    REQUIRE(saved[0].size() == 1);
    CHECK(saved[0][0] >= 8);
    CHECK(stopped == std::vector<char>(3, 1));
  } else {
    CHECK(saved[0] == std::vector<int64_t>{6, 11, 16});
  }
}

TEST_CASE("Retention, links and history are rank 0's, and the others may not change them") {
  const test::TemporaryDirectory root;
  const auto all = coordinators(2);
  std::vector<std::string> last(2);
  const auto errors = run_ranks(2, [&](int rank) {
    torch::Tensor tensor = torch::ones({3});
    State state;
    state.add("tensor", tensor).rng(false);
    CheckpointManager manager(root.path(), options(all[rank]).keep_last(2).every_n_epochs(1));
    for (int64_t epoch = 0; epoch < 4; ++epoch) {
      Progress progress;
      progress.epoch = epoch;
      manager.save_if_due(state, progress);
    }
    last[static_cast<size_t>(rank)] = manager.save_final(state, {4}).value_or("");
    manager.save_final(state, {4});
    if (rank == 1) manager.prune(DryRun::kNo);
  });
  CHECK(errors[0] == "");
  CHECK(
      contains(errors[1], "invalid_argument: " + root.path() +
                              ": prune: this is rank 1, and only rank 0 may change the directory"));
  CHECK(last == std::vector<std::string>{"e4", "e4"});
  std::vector<std::string> names;
  for (const CheckpointInfo& info : CheckpointManager(root.path()).list())
    names.push_back(info.name);
  CHECK(names == std::vector<std::string>{"e3", "e4"});
  CHECK(fs::read_symlink(root / "latest") == "e4");
}
