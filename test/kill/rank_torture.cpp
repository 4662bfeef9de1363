// rank_torture RANKS CYCLES [SEED]: trains with several ranks, each a process, and kills a random
// one of them, or all, with SIGKILL at a random moment. The ranks that live on must end by
// themselves, within their deadline. Then checks what is left, and starts again with as many ranks,
// with fewer or with more. Does that CYCLES times. After every kill, all listed checkpoints must
// verify. The newest one must not be older than the newest that any rank has acknowledged. It must
// restore, bit for bit, what a training that was never killed had at that epoch: what the ranks
// share, what they hold in parts, and what each has for itself.
//
// The ranks meet in a directory. They are forked off before LibTorch has done anything.

#include "kill/children.h"

#include <checkpoint/checkpoint.h>

#include <spdlog/spdlog.h>
#include <torch/torch.h>

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

namespace fs = std::filesystem;
using checkpoint::CheckpointManager;
using checkpoint::CheckpointManagerOptions;
using kill_test::fail;
using kill_test::has_ended;
using kill_test::hidden_in;
using kill_test::in_child;
using kill_test::must_end_well;

constexpr int64_t kEpochs = 30;
constexpr int64_t kRows = 23;
constexpr int64_t kOwn = 1000000;
// How long a rank waits for another one.
constexpr std::chrono::seconds kTimeout(4);
// How long the ranks that live on may take to notice. A save may wait once to begin and once to
// end, and the machine may be busy.
constexpr std::chrono::seconds kMost(60);

// What parent and children all see.
struct Shared {
  // The newest epoch whose save has returned on some rank; -1: none.
  std::atomic<int64_t> acknowledged;
};

void raise_to(std::atomic<int64_t>& number, int64_t least) {
  int64_t now = number;
  while (now < least && !number.compare_exchange_weak(now, least)) {
  }
}

at::Generator generator_of(int64_t epoch) {
  return torch::make_generator<at::CPUGeneratorImpl>(static_cast<uint64_t>(epoch) + 1);
}

// What one rank trains. What it is after an epoch depends on that alone, on any number of ranks.
struct Training {
  Training(int64_t rank, int64_t size)
      : rank(rank),
        begin(kRows * rank / size),
        model(40, 30),
        optimizer(model->parameters(), torch::optim::AdamOptions(0.01)),
        rows(torch::zeros({kRows * (rank + 1) / size - begin, 7})) {
    const torch::NoGradGuard no_grad;
    const at::Generator generator = generator_of(-1);
    for (torch::Tensor& parameter : model->parameters()) parameter.normal_(0, 1, generator);
    state.add("model", model).add("optimizer", optimizer).add("rows", rows).rng(false);
    state.add("own", own, checkpoint::PerRank());
    state.shard({{kRows, 7}, {begin, 0}, rows});
  }

  // Random gradients: no backward, whose threads do not survive a fork.
  void one_epoch(int64_t epoch) {
    const at::Generator generator = generator_of(epoch);
    for (torch::Tensor& parameter : model->parameters()) {
      parameter.mutable_grad() = torch::randn(parameter.sizes(), generator);
    }
    optimizer.step();
    rows.copy_(rows_at(epoch));
    own = own_at(epoch);
  }

  torch::Tensor rows_at(int64_t epoch) const {
    return torch::randn({kRows, 7}, generator_of(epoch + 500)).narrow(0, begin, rows.size(0));
  }
  int64_t own_at(int64_t epoch) const { return rank * kOwn + epoch; }

  // Compares with a training that was never killed.
  void must_be_at(int64_t epoch, bool has_own) const {
    Training whole(0, 1);
    for (int64_t one = 0; one <= epoch; ++one) whole.one_epoch(one);
    const auto wanted = whole.model->parameters();
    const auto found = model->parameters();
    for (size_t i = 0; i < wanted.size(); ++i) {
      if (!torch::equal(found[i], wanted[i])) fail("the model is another one");
    }
    if (!torch::equal(rows, rows_at(epoch))) fail("a rank's rows are others");
    if (has_own && own != own_at(epoch)) fail("what a rank has for itself is not its own");
  }

  int64_t rank;
  int64_t begin;
  torch::nn::Linear model;
  torch::optim::Adam optimizer;
  torch::Tensor rows;
  int64_t own = -1;
  checkpoint::State state;
};

CheckpointManagerOptions options() {
  return CheckpointManagerOptions().every_n_epochs(1).keep_last(2).name("e{epoch}");
}

// One rank of a run of the training program.
void train(const std::string& directory, int rank, int size, bool async, Shared& shared) {
  torch::set_num_threads(1);
  Training training(rank, size);
  CheckpointManager manager(
      directory, options().async(async).timeout(kTimeout).coordinator(
                     checkpoint::directory_coordinator(directory + ".talk", rank, size)));
  int64_t begun = -1;
  const auto acknowledge = [&] { raise_to(shared.acknowledged, begun); };
  const auto restored = manager.restore_latest(training.state);
  int64_t epoch = 0;
  if (restored) {
    const int64_t saved = restored->progress().epoch;
    training.must_be_at(saved, rank < restored->manifest.world_size);
    raise_to(shared.acknowledged, saved);
    epoch = saved + 1;
  }
  for (; epoch < kEpochs; ++epoch) {
    training.one_epoch(epoch);
    manager.save_if_due(training.state, {epoch});
    if (!async) begun = epoch;
    acknowledge();  // In asynchronous saves, the one before: a save waits for it.
    begun = epoch;
  }
  manager.wait();
  acknowledge();
}

// How a rank ends that another one has left alone.
constexpr int kLeftAlone = 3;

// The same in a child, which ends by itself if another rank does not come.
pid_t rank_in_child(const std::string& directory, int rank, int size, bool async, Shared& shared) {
  return in_child([&] {
    try {
      train(directory, rank, size, async, shared);
    } catch (const checkpoint::Error& error) {
      if (error.code() == checkpoint::ErrorCode::kTimeout) ::_exit(kLeftAlone);
      throw;
    }
  });
}

// What killed ranks left, as a process alone sees it. In a child: this uses LibTorch.
void check(const std::string& directory, const Shared& shared) {
  torch::set_num_threads(1);
  const int64_t acknowledged = shared.acknowledged;
  CheckpointManager manager(directory, options());
  for (const checkpoint::CheckpointInfo& info : manager.list()) {
    if (!info.damage.empty()) fail("half-made " + info.name + " is listed: " + info.damage);
    manager.verify(info.name);
  }
  Training training(0, 1);
  const auto restored = manager.restore_latest(training.state);
  if (!restored) {
    if (acknowledged >= 0)
      fail("nothing is left, and e" + std::to_string(acknowledged) + " was acknowledged");
    return;
  }
  if (!restored->skipped.empty()) {
    fail("a checkpoint was passed over: " + restored->skipped[0].reason);
  }
  const int64_t epoch = restored->progress().epoch;
  if (epoch < acknowledged) {
    fail("e" + std::to_string(epoch) + " is the newest, and e" + std::to_string(acknowledged) +
         " was acknowledged");
  }
  training.must_be_at(epoch, true);
}

class RankTorture {
 public:
  RankTorture(int ranks, int cycles, uint32_t seed, std::string work)
      : sizes_{ranks, ranks, std::max(ranks / 2, 1), ranks + ranks / 2},
        cycles_(cycles),
        random_(seed),
        work_(std::move(work)),
        shared_(kill_test::make_shared_memory<Shared>()) {}

  void run() {
    begin();
    while (kills_ < cycles_) one_cycle();
  }

  std::string summary() const {
    return std::to_string(kills_) + " kills: " + std::to_string(of_one_) + " of one rank, " +
           std::to_string(of_all_) + " of all; " + std::to_string(while_saving_) +
           " while saving, " + std::to_string(while_removing_) +
           " while removing; after each the newest acknowledged checkpoint restored bit for bit; " +
           std::to_string(ended_) +
           " trainings ended as the one never killed; the ranks that lived on took " +
           std::to_string(longest_.count()) + " ms at most";
  }
  std::string where() const { return "kill " + std::to_string(kills_) + ", in " + directory_; }

 private:
  void begin() {
    directory_ = work_ + "/run" + std::to_string(ended_);
    shared_->acknowledged = -1;
  }

  int below(int limit) { return static_cast<int>(random_() % static_cast<uint32_t>(limit)); }

  // The moment: soon after the start, anywhere, or once a directory comes into being or goes.
  void wait_for_the_moment(pid_t child) {
    const int kind = below(4);
    if (kind < 2) {
      std::this_thread::sleep_for(std::chrono::milliseconds(below(kind == 0 ? 100 : 1500)));
      return;
    }
    kill_test::wait_for_hidden(directory_, kind == 2 ? ".staging-" : ".retired-", child);
    std::this_thread::sleep_for(std::chrono::microseconds(below(20000)));
  }

  // Waits until all have ended. Kills those that hang, and fails.
  void wait_for(const std::vector<pid_t>& children) {
    const auto start = std::chrono::steady_clock::now();
    const auto waited = [&] { return std::chrono::steady_clock::now() - start; };
    const auto all_ended = [&] { return std::all_of(children.begin(), children.end(), has_ended); };
    while (!all_ended() && waited() < kMost) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    const bool hung = !all_ended();
    longest_ = std::max(longest_, std::chrono::duration_cast<std::chrono::milliseconds>(waited()));
    if (!hung) return;
    for (const pid_t child : children) ::kill(child, SIGKILL);
    fail("a rank hangs longer than its deadline");
  }

  // Each must have ended well, or have been killed, or have been left alone by one that was.
  static void reap(const std::vector<pid_t>& children, bool has_killed) {
    for (const pid_t child : children) {
      int status = 0;
      ::waitpid(child, &status, 0);
      const bool is_alone = WIFEXITED(status) && WEXITSTATUS(status) == kLeftAlone;
      if (status == 0 || (has_killed && (WIFSIGNALED(status) || is_alone))) continue;
      fail("a rank ended with status " + std::to_string(status));
    }
  }

  void one_cycle() {
    const int size = sizes_[static_cast<size_t>(below(4))];
    const bool async = below(2) == 1;
    std::vector<pid_t> children;
    for (int rank = 0; rank < size; ++rank) {
      children.push_back(rank_in_child(directory_, rank, size, async, *shared_));
    }
    const auto victim = static_cast<size_t>(below(size));
    const bool all = below(3) == 0;
    wait_for_the_moment(children[victim]);
    const std::string hidden = hidden_in(directory_);
    bool was_alive = false;  // Any of those that are killed: some end before the others.
    for (size_t rank = 0; rank < children.size(); ++rank) {
      if (!all && rank != victim) continue;
      was_alive = was_alive || !has_ended(children[rank]);
      ::kill(children[rank], SIGKILL);
    }
    wait_for(children);
    reap(children, was_alive);
    if (was_alive) {
      ++kills_;
      ++(all ? of_all_ : of_one_);
      if (hidden.rfind(".staging-", 0) == 0) ++while_saving_;
      if (hidden.rfind(".reti", 0) == 0) ++while_removing_;
    }
    must_end_well(in_child([&] { check(directory_, *shared_); }), "the look at what was left");
    if (shared_->acknowledged < kEpochs - 1) return;
    fs::remove_all(directory_);
    fs::remove_all(directory_ + ".talk");
    ++ended_;
    begin();
  }

  const std::vector<int> sizes_;
  const int cycles_;
  std::mt19937 random_;
  const std::string work_;
  Shared* const shared_;
  std::string directory_;
  std::chrono::milliseconds longest_{0};
  int kills_ = 0, of_one_ = 0, of_all_ = 0;
  int ended_ = 0;
  int while_saving_ = 0, while_removing_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  spdlog::set_level(spdlog::level::off);
  const int ranks = argc > 1 ? std::atoi(argv[1]) : 0;
  const int cycles = argc > 2 ? std::atoi(argv[2]) : 0;
  if (ranks <= 0 || cycles <= 0) {
    std::fprintf(stderr, "usage: rank_torture RANKS CYCLES [SEED]\n");
    return 2;
  }
  return kill_test::run_torture<RankTorture>("torture of " + std::to_string(ranks) + " ranks",
                                             argc > 3 ? argv[3] : nullptr, ranks, cycles);
}
