#include "support/catch.h"
#include "support/error_of.h"
#include "support/models.h"
#include "support/round_trip.h"

#include "state/sampler/shuffle.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <optional>
#include <sstream>
#include <thread>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace checkpoint;
using test::Net;
using test::same_bits;
using test::Saved;
using torch::data::DataLoaderOptions;

namespace {

using Indices = std::vector<size_t>;

// The first pixel holds the example's number. Can end the process after some examples, counted over
// all workers.
class Points : public torch::data::datasets::Dataset<Points> {
 public:
  explicit Points(size_t size, int kill_after = -1)
      : size_(size), left_(std::make_shared<std::atomic<int>>(kill_after)) {}

  torch::data::Example<> get(size_t index) override {
    if (left_->fetch_sub(1) == 0) ::kill(::getpid(), SIGKILL);
    // So that workers finish in another order than they began.
    std::this_thread::sleep_for(std::chrono::microseconds(100 * (index % 3)));
    torch::Tensor data = torch::empty({1, 4, 4});
    for (int64_t i = 0; i < 16; ++i) {
      data.data_ptr<float>()[i] = std::sin(static_cast<float>(index) + static_cast<float>(7 * i));
    }
    data.data_ptr<float>()[0] = static_cast<float>(index);
    return {data, torch::tensor(static_cast<int64_t>(index % 2))};
  }
  torch::optional<size_t> size() const override { return size_; }

 private:
  size_t size_;
  std::shared_ptr<std::atomic<int>> left_;
};

auto make_loader(size_t size, const ResumableSampler& sampler, const DataLoaderOptions& options) {
  return torch::data::make_data_loader(Points(size).map(torch::data::transforms::Stack<>()),
                                       sampler, options);
}

void append(Indices& to, const torch::Tensor& batch) {
  for (int64_t i = 0; i < batch.size(0); ++i) {
    to.push_back(static_cast<size_t>(batch[i][0][0][0].item<float>()));
  }
}

// A pass without a DataLoader, as one without workers makes it; stops after `batches`.
Indices pass(ResumableSampler& sampler, size_t batch_size, int batches = 1000) {
  Indices seen;
  sampler.reset();
  while (batches-- > 0) {
    const auto indices = sampler.next(batch_size);
    if (!indices) break;
    seen.insert(seen.end(), indices->begin(), indices->end());
    sampler.advance(indices->size());
  }
  return seen;
}

Indices rest_of(const Indices& order, size_t from) {
  return Indices(order.begin() + static_cast<std::ptrdiff_t>(from), order.end());
}

Indices order_of(size_t size, uint64_t seed, uint64_t epoch) {
  return state::shuffled_order(size, seed, epoch);
}

ResumableSampler restored(const ResumableSampler& from) {
  ResumableSampler to = ResumableSampler::shuffled(from.size(), 7);
  to.load_state_dict(from.state_dict());
  return to;
}

}  // namespace

TEST_CASE("The shuffled order is this one, everywhere and for ever") {
  // Computed from the formula in docs/sampler.md by another program.
  CHECK(order_of(10, 7, 0) == Indices{6, 0, 7, 8, 4, 5, 9, 3, 2, 1});
  CHECK(order_of(10, 7, 1) == Indices{6, 8, 3, 4, 7, 9, 1, 5, 0, 2});
  CHECK(order_of(10, 8, 0) == Indices{3, 1, 2, 8, 9, 7, 0, 6, 4, 5});
  CHECK(order_of(12, UINT64_MAX, 3) == Indices{0, 6, 9, 7, 5, 1, 8, 4, 11, 2, 10, 3});
  CHECK(order_of(0, 1, 0).empty());
  CHECK(order_of(1, 1, 0) == Indices{0});
  uint64_t digest = 0;
  for (const size_t index : order_of(100000, 1, 0)) digest = state::mix64(digest + index);
  CHECK(digest == 10358468199390868069U);
  // A bound for which almost every other draw is thrown away.
  state::EpochDraws draws(7, 0);
  for (const uint64_t expected :
       {1143682346881554215U, 2965707327439924039U, 4185747080456774434U, 6246386746325769925U}) {
    CHECK(draws.below((uint64_t{1} << 63) + 1) == expected);
  }
}

TEST_CASE("A pass gives each example once, in the order of its epoch, whatever the batch size") {
  for (const size_t batch_size : {1, 3, 5, 100}) {
    auto shuffled = ResumableSampler::shuffled(10, 7);
    auto sequential = ResumableSampler::sequential(10);
    for (uint64_t epoch = 0; epoch < 3; ++epoch) {
      CHECK(pass(shuffled, batch_size) == order_of(10, 7, epoch));
      CHECK(pass(sequential, batch_size) == Indices{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
      CHECK(shuffled.epoch() == static_cast<int64_t>(epoch));
      CHECK(shuffled.position() == 10);
    }
  }
}

TEST_CASE("What is saved is what was trained on, not what was drawn") {
  auto sampler = ResumableSampler::shuffled(10, 7);
  ResumableSampler in_loader = sampler;  // As the DataLoader keeps it.
  in_loader.reset();
  for (int i = 0; i < 3; ++i) in_loader.next(3);
  sampler.advance(3);
  CHECK(in_loader.position() == 3);
  auto other = restored(sampler);
  CHECK(pass(other, 4) == rest_of(order_of(10, 7, 0), 3));
  CHECK(pass(other, 4) == order_of(10, 7, 1));
}

TEST_CASE("A sampler that was moved from still knows the place") {
  auto sampler = ResumableSampler::shuffled(10, 7);
  ResumableSampler in_loader = std::move(sampler);
  in_loader.reset();
  in_loader.next(3);
  sampler.advance(3);
  CHECK(in_loader.position() == 3);
}

TEST_CASE("More than was drawn cannot have been trained on") {
  auto sampler = ResumableSampler::shuffled(10, 7);
  sampler.reset();
  sampler.next(4);
  sampler.advance(1);
  CHECK(contains(error_of([&] { sampler.advance(4); }),
                 "invalid_argument: ResumableSampler::advance: 4 examples"));
  CHECK(sampler.position() == 1);
  sampler.advance(3);
  CHECK_THROWS_AS(sampler.advance(1), Error);
}

TEST_CASE("After the last batch of an epoch, and after the epoch, are two places for set_epoch") {
  auto sampler = ResumableSampler::shuffled(10, 7);
  sampler.set_epoch(4);
  pass(sampler, 5);
  {  // The loop's next_epoch() is 4 again: all its examples are done, but not its end.
    auto other = restored(sampler);
    other.set_epoch(4);
    CHECK(pass(other, 5).empty());
    other.set_epoch(5);
    CHECK(pass(other, 5) == order_of(10, 7, 5));
  }
  {  // The loop's next_epoch() is 5.
    auto other = restored(sampler);
    other.set_epoch(5);
    CHECK(pass(other, 5) == order_of(10, 7, 5));
  }
  {  // Without it, an epoch that has been trained on whole is over.
    auto other = restored(sampler);
    CHECK(pass(other, 5) == order_of(10, 7, 5));
  }
}

TEST_CASE("An epoch that ends early does not leave its rest to the next") {
  auto sampler = ResumableSampler::shuffled(10, 7);
  sampler.set_epoch(0);
  pass(sampler, 4, 2);  // Two examples are left, by drop_last or a break.
  auto same_process = restored(sampler), other = restored(sampler);
  sampler.set_epoch(1);
  CHECK(pass(sampler, 4) == order_of(10, 7, 1));
  other.set_epoch(1);
  CHECK(pass(other, 4) == order_of(10, 7, 1));
  pass(same_process, 1, 1);
  CHECK(pass(same_process, 4) == order_of(10, 7, 1));  // Without set_epoch too, without a restore.
}

TEST_CASE("A restore may come between passes of the same process") {
  auto sampler = ResumableSampler::shuffled(10, 7);
  pass(sampler, 4, 1);
  const Value saved = sampler.state_dict();
  pass(sampler, 4);
  pass(sampler, 4);
  sampler.load_state_dict(saved);
  CHECK(pass(sampler, 4) == rest_of(order_of(10, 7, 0), 4));
  CHECK(pass(sampler, 4) == order_of(10, 7, 1));
}

TEST_CASE("A sampler of another size, order or seed is refused, and has not changed") {
  auto sampler = ResumableSampler::shuffled(10, UINT64_MAX);
  pass(sampler, 4, 1);
  State from;
  from.add("sampler", sampler);
  const Saved file(from);
  const auto refused = [&](ResumableSampler live, const std::string& why) {
    pass(live, 4);
    pass(live, 3, 1);
    State to;
    to.add("sampler", live);
    const std::string error = error_of([&] { file.restore(to); });
    INFO(error);
    CHECK(contains(error, "incompatible: 'sampler' rejected the saved state"));
    CHECK(contains(error, why));
    CHECK(live.epoch() == 1);
    CHECK(live.position() == 3);
  };
  refused(ResumableSampler::shuffled(11, UINT64_MAX), "11 examples here, 10 saved");
  refused(ResumableSampler::shuffled(10, 3), "seed 3 here, 18446744073709551615 saved");
  refused(ResumableSampler::sequential(10), "is sequential here, but was shuffled when saved");

  auto live = ResumableSampler::shuffled(10, UINT64_MAX);
  State to;
  to.add("sampler", live);
  CHECK(file.restore(to).manifest.items[0].kind == "object");
  CHECK(live.position() == 4);
}

TEST_CASE("A sampler in the middle of a pass is exactly where it was when a restore fails") {
  auto saved = ResumableSampler::shuffled(10, 7);
  pass(saved, 4, 2);
  test::Refusing refusing;
  State from;
  from.add("sampler", saved).add("refusing", refusing);
  const Saved file(from);

  // Refused by itself, or taken back when a later item refuses.
  for (const uint64_t seed : {uint64_t{8}, uint64_t{7}}) {
    auto live = ResumableSampler::shuffled(10, seed);
    ResumableSampler in_loader = live;
    live.set_epoch(3);
    in_loader.reset();
    in_loader.next(5);
    live.advance(2);
    State to;
    to.add("sampler", live).add("refusing", refusing);
    CHECK_THROWS_AS(file.restore(to), Error);
    CHECK(live.epoch() == 3);
    CHECK(live.position() == 2);
    // The DataLoader continues with what it has not drawn yet, and the loop may count what it has.
    const Indices order = order_of(10, seed, 3);
    CHECK(*in_loader.next(100) == rest_of(order, 5));
    live.advance(1);
    // The next pass starts the next epoch: this is not the first one after a restore.
    CHECK(pass(live, 4) == order_of(10, seed, 4));
  }
}

TEST_CASE("A state that no sampler can be in is refused") {
  auto sampler = ResumableSampler::sequential(10);
  for (const auto& [epoch, position] : {std::pair<int64_t, int64_t>{0, 11}, {-1, 0}, {0, -1}}) {
    Dict state;
    state.insert("size", 10);
    state.insert("shuffle", false);
    state.insert("seed", 0);
    state.insert("epoch", epoch);
    state.insert("position", position);
    CHECK(contains(error_of([&] { sampler.load_state_dict(state); }), "cannot go to position"));
  }
  CHECK_THROWS_AS(sampler.load_state_dict(Value(3)), Error);
  CHECK_THROWS_AS(sampler.load_state_dict(Dict()), Error);
  CHECK_THROWS_AS(sampler.set_epoch(-1), Error);
  CHECK_THROWS_AS(sampler.next(0), Error);
}

TEST_CASE("A dataset may grow between epochs, not inside one") {
  auto sampler = ResumableSampler::shuffled(10, 7);
  pass(sampler, 4);
  sampler.reset(12);
  CHECK(sampler.size() == 12);
  CHECK(sampler.epoch() == 1);
  CHECK(sampler.next(100)->size() == 12);
  sampler.advance(5);
  auto other = ResumableSampler::shuffled(12, 7);
  other.load_state_dict(sampler.state_dict());
  CHECK(contains(error_of([&] { other.reset(10); }), "left at 5 of 12"));
  CHECK(other.size() == 12);
  CHECK(pass(other, 5) == rest_of(order_of(12, 7, 1), 5));
}

TEST_CASE("LibTorch's own save and load of a sampler work") {
  auto sampler = ResumableSampler::shuffled(10, UINT64_MAX);
  pass(sampler, 4, 2);
  std::stringstream file;
  torch::serialize::OutputArchive out;
  sampler.save(out);
  out.save_to(file);
  torch::serialize::InputArchive in;
  in.load_from(file);
  auto other = ResumableSampler::shuffled(10, UINT64_MAX);
  other.load(in);
  CHECK(pass(other, 4) == rest_of(order_of(10, UINT64_MAX, 0), 8));
  auto longer = ResumableSampler::shuffled(11, UINT64_MAX);
  CHECK_THROWS_AS(longer.load(in), Error);
}

TEST_CASE("Ranks divide an epoch, and another number of ranks goes on with the rest") {
  const size_t size = GENERATE(24, 25, 26, 7, 3);
  const size_t before = GENERATE(1, 2, 3, 5);
  const size_t after = GENERATE(1, 2, 4);
  const bool shuffle = GENERATE(false, true);
  const size_t steps = GENERATE(0, 1, 2, 100);
  constexpr size_t kBatch = 2;
  CAPTURE(size, before, after, shuffle, steps);
  const auto make = [&](size_t rank, size_t world_size) {
    return shuffle ? ResumableSampler::shuffled(size, 7, rank, world_size)
                   : ResumableSampler::sequential(size, rank, world_size);
  };
  std::vector<size_t> seen;
  // All ranks of a run, in step. Returns what rank 0 saves.
  const auto run = [&](size_t world_size, size_t most, const Value* saved) {
    std::vector<ResumableSampler> samplers;
    for (size_t rank = 0; rank < world_size; ++rank) {
      samplers.push_back(make(rank, world_size));
      if (saved != nullptr) samplers.back().load_state_dict(*saved);
      samplers.back().set_epoch(0);
      samplers.back().reset();
    }
    for (size_t step = 0; step < most; ++step) {
      for (ResumableSampler& sampler : samplers) {
        const auto batch = sampler.next(kBatch);
        if (!batch) continue;
        seen.insert(seen.end(), batch->begin(), batch->end());
        sampler.advance(batch->size());
      }
      for (const ResumableSampler& sampler : samplers) {
        CHECK(sampler.position() == samplers[0].position());
      }
    }
    for (ResumableSampler& sampler : samplers) sampler.next(1);  // Fetched, and not trained on.
    return samplers[0].state_dict();
  };
  const Value saved = run(before, steps, nullptr);
  CHECK(saved["position"].to_int() == static_cast<int64_t>(seen.size()));
  run(after, 100, &saved);
  std::sort(seen.begin(), seen.end());
  std::vector<size_t> all(size);
  std::iota(all.begin(), all.end(), size_t{0});
  CHECK(seen == all);
}

TEST_CASE("The first pass of a rank after a whole epoch starts the next one") {
  for (const size_t rank : {0, 1}) {
    auto sampler = ResumableSampler::sequential(3, rank, 2);
    sampler.reset();
    sampler.advance(sampler.next(10)->size());
    sampler.reset();
    CHECK(sampler.epoch() == 1);
    CHECK(sampler.next(10)->size() == (rank == 0 ? 2 : 1));
  }
  CHECK_THROWS_AS(ResumableSampler::sequential(3, 2, 2), Error);
}

TEST_CASE("A DataLoader over nothing ends at once") {
  auto sampler = ResumableSampler::shuffled(0, 7);
  for (const size_t workers : {0, 2}) {
    auto loader = make_loader(0, sampler, DataLoaderOptions(4).workers(workers));
    for (int i = 0; i < 2; ++i) CHECK(loader->begin() == loader->end());
  }
  auto other = restored(sampler);
  CHECK(pass(other, 4).empty());
}

TEST_CASE("Another batch size and number of workers go on with what is left") {
  auto sampler = ResumableSampler::shuffled(37, 7);
  {
    auto loader = make_loader(37, sampler, DataLoaderOptions(4).workers(4));
    int batches = 0;
    for (const auto& batch : *loader) {
      sampler.advance(static_cast<size_t>(batch.data.size(0)));
      if (++batches == 3) break;
    }
  }
  auto other = restored(sampler);
  auto loader = make_loader(37, other, DataLoaderOptions(5).workers(1));
  Indices seen;
  for (const auto& batch : *loader) append(seen, batch.data);
  CHECK(seen == rest_of(order_of(37, 7, 0), 12));
}

namespace {

constexpr size_t kExamples = 37;
constexpr int64_t kEpochs = 3;

// All that training needs.
struct Training {
  Training(bool shuffle, const DataLoaderOptions& options)
      : optimizer(net->parameters(), torch::optim::AdamOptions(0.01)),
        scheduler(optimizer, 1, 0.5),
        sampler(shuffle ? ResumableSampler::shuffled(kExamples, 7)
                        : ResumableSampler::sequential(kExamples)),
        options(options) {
    state.add("model", net)
        .add("optimizer", optimizer)
        .add("scheduler", scheduler)
        .add("sampler", sampler);
  }

  // Up to the end, or to just after `stop_at` steps. Returns what it was shown.
  Indices train(Progress& progress, int64_t stop_at = -1) {
    Indices seen;
    auto loader = make_loader(kExamples, sampler, options);
    for (int64_t epoch = progress.next_epoch(); epoch < kEpochs; ++epoch) {
      progress.epoch = epoch;
      progress.epoch_done = false;
      sampler.set_epoch(epoch);
      for (const auto& batch : *loader) {
        optimizer.zero_grad();
        torch::nn::functional::cross_entropy(net(batch.data), batch.target).backward();
        optimizer.step();
        append(seen, batch.data);
        sampler.advance(static_cast<size_t>(batch.data.size(0)));
        if (++progress.step == stop_at) return seen;
      }
      scheduler.step();
      progress.epoch_done = true;
    }
    return seen;
  }

  Net net;
  torch::optim::Adam optimizer;
  torch::optim::StepLR scheduler;
  ResumableSampler sampler;
  DataLoaderOptions options;
  State state;
};

const Progress kStart{-1, 0};

// Many small steps: LibTorch's own threads and the workers would only wait for one another.
struct OneThread {
  const int before = torch::get_num_threads();
  OneThread() { torch::set_num_threads(1); }
  ~OneThread() { torch::set_num_threads(before); }
};

}  // namespace

TEST_CASE("Saved in the middle of an epoch and restored into new objects: equal bits") {
  const OneThread one_thread;
  for (const size_t workers : {0, 1, 4}) {
    for (const bool shuffle : {true, false}) {
      for (const bool drop_last : {true, false}) {
        const auto options = DataLoaderOptions(4).workers(workers).drop_last(drop_last);
        torch::manual_seed(1);
        Training whole(shuffle, options);
        Progress progress = kStart;
        const Indices expected = whole.train(progress);
        const int64_t batches = progress.step / kEpochs;
        REQUIRE(batches == (drop_last ? 9 : 10));

        // The first batch, some in the middle, the last full one, the last one, one of the next.
        for (const int64_t stop_at : {int64_t{1}, int64_t{4}, int64_t{9}, batches, batches + 3}) {
          INFO(workers << " workers, " << (shuffle ? "shuffled" : "sequential")
                       << (drop_last ? ", drop_last" : "") << ", saved after step " << stop_at);
          torch::manual_seed(1);
          Training first(shuffle, options);
          Progress at_save = kStart;
          Indices seen = first.train(at_save, stop_at);
          const Saved file(first.state, at_save);

          torch::manual_seed(99);
          Training second(shuffle, options);
          Progress at_restore = file.restore(second.state).progress();
          const Indices rest = second.train(at_restore);
          seen.insert(seen.end(), rest.begin(), rest.end());
          CHECK(seen == expected);
          CHECK(at_restore.step == progress.step);
          CHECK(same_bits(*whole.net, *second.net));
        }
      }
    }
  }
}

// The example of docs/sampler.md; a test compares the two texts.
// [readme]
// Trains to the end of `epochs`; started again, it goes on from the newest checkpoint, which may be
// in the middle of an epoch.
torch::nn::Linear train(Points points, int64_t epochs, const std::string& directory,
                        size_t workers) {
  torch::nn::Linear model(16, 2);
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.1).momentum(0.9));
  torch::optim::StepLR scheduler(optimizer, /*step_size=*/1, /*gamma=*/0.5);

  auto sampler = checkpoint::ResumableSampler::shuffled(points.size().value(), /*seed=*/7);
  auto loader = torch::data::make_data_loader(
      points.map(torch::data::transforms::Stack<>()), sampler,
      torch::data::DataLoaderOptions(/*batch_size=*/4).workers(workers));

  checkpoint::State state;
  state.add("model", model)
      .add("optimizer", optimizer)
      .add("scheduler", scheduler)
      .add("sampler", sampler);
  checkpoint::CheckpointManager manager(
      directory, checkpoint::CheckpointManagerOptions().every_n_steps(5).keep_last(3));

  checkpoint::Progress progress;
  const int64_t first = manager.resume(state, progress);
  for (int64_t epoch = first; epoch < epochs; ++epoch) {
    progress.epoch = epoch;
    progress.epoch_done = false;
    sampler.set_epoch(epoch);  // before each pass
    for (const auto& batch : *loader) {
      optimizer.zero_grad();
      torch::cross_entropy_loss(model(batch.data.flatten(1)), batch.target).backward();
      optimizer.step();
      progress.step += 1;
      sampler.advance(batch.data.size(0));  // after each batch, before the save
      manager.save_if_due(state, progress);
    }
    scheduler.step();
    progress.epoch_done = true;
    manager.save_if_due(state, progress);
  }
  return model;
}
// [readme]

namespace {

constexpr char kChildDirectory[] = "TORCH_CHECKPOINT_CHILD_DIRECTORY";
constexpr char kChildWorkers[] = "TORCH_CHECKPOINT_CHILD_WORKERS";
constexpr char kChildKillAfter[] = "TORCH_CHECKPOINT_CHILD_KILL_AFTER";

// Runs the hidden test below in a process of its own; returns the signal that ended it, or 0.
int train_and_be_killed(const std::string& directory, size_t workers, int kill_after) {
  ::setenv(kChildDirectory, directory.c_str(), 1);
  ::setenv(kChildWorkers, std::to_string(workers).c_str(), 1);
  ::setenv(kChildKillAfter, std::to_string(kill_after).c_str(), 1);
  const pid_t child = ::fork();
  if (child == 0) {
    ::execl("/proc/self/exe", "state_test", "[killed-child]", static_cast<char*>(nullptr));
    ::_exit(127);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

}  // namespace

TEST_CASE("Trains until it is killed", "[.][killed-child]") {
  const char* directory = std::getenv(kChildDirectory);
  REQUIRE(directory != nullptr);
  torch::manual_seed(1);
  train(Points(kExamples, std::atoi(std::getenv(kChildKillAfter))), kEpochs, directory,
        static_cast<size_t>(std::atoi(std::getenv(kChildWorkers))));
}

TEST_CASE("Killed in the middle of an epoch, again and again: equal bits") {
  const size_t workers = GENERATE(0, 1, 4);
  INFO(workers << " workers");
  const test::TemporaryDirectory whole_directory, directory;
  torch::manual_seed(1);
  const auto whole = train(Points(kExamples), kEpochs, whole_directory.path(), workers);
  // Each gets as far as a save, however far ahead the workers draw: in the second epoch, in that or
  // the third, in the third.
  for (const int kill_after : {60, 44, 10}) {
    INFO(kill_after);
    CHECK(train_and_be_killed(directory.path(), workers, kill_after) == SIGKILL);
  }
  const auto latest = CheckpointManager(directory.path()).latest();
  REQUIRE(latest.has_value());
  CHECK_FALSE(latest->manifest.progress.epoch_done);
  torch::manual_seed(99);
  const auto resumed = train(Points(kExamples), kEpochs, directory.path(), workers);
  CHECK(same_bits(*whole, *resumed));
}
