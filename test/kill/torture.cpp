// torture CYCLES SEED: trains in a child, kills it with SIGKILL at a random moment, checks what is
// left, and starts it again. Does that CYCLES times. After every kill, all listed checkpoints must
// verify. The newest one must not be older than the newest that was acknowledged. It must restore,
// bit for bit, what a training that was never killed had at that epoch. A training that ends by
// itself is compared as well, and the next one begins in a fresh directory.
//
// The children are forked off before LibTorch has done anything, so that a cycle takes
// milliseconds.

#include "kill/children.h"

#include <checkpoint/checkpoint.h>

#include <spdlog/spdlog.h>
#include <torch/torch.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <random>
#include <set>
#include <string>

namespace {

namespace fs = std::filesystem;
using checkpoint::CheckpointManager;
using checkpoint::CheckpointManagerOptions;
using kill_test::fail;
using kill_test::hidden_in;
using kill_test::in_child;
using kill_test::must_end_well;

constexpr int64_t kEpochs = 60;
constexpr int64_t kPinned = 5;  // The epoch whose checkpoint is pinned.
constexpr int64_t kBest = 20;   // The one with the lowest loss.

// What parent and children both see.
struct Shared {
  std::atomic<int64_t> acknowledged;  // The newest epoch whose save has returned; -1: none.
  std::atomic<bool> pinned;           // Whether a pin of kPinned has returned.
  uint64_t whole[kEpochs];            // The training's state after each epoch, never killed.
};

struct Training {
  Training() : model(8, 8), optimizer(model->parameters(), torch::optim::AdamOptions(0.01)) {
    state.add("model", model).add("optimizer", optimizer);
  }

  // Random gradients: no backward, whose threads do not survive a fork.
  void one_epoch() {
    for (torch::Tensor& parameter : model->parameters()) {
      parameter.mutable_grad() = torch::randn_like(parameter);
    }
    optimizer.step();
  }

  // FNV-1a over the parameters' bytes and the generator's next number.
  uint64_t digest() const {
    uint64_t hash = 14695981039346656037u;
    const auto add = [&](const torch::Tensor& tensor) {
      const auto* bytes = static_cast<const unsigned char*>(tensor.data_ptr());
      for (size_t i = 0; i < tensor.nbytes(); ++i) hash = (hash ^ bytes[i]) * 1099511628211u;
    };
    for (const torch::Tensor& parameter : model->parameters()) add(parameter.detach());
    add(at::detail::getDefaultCPUGenerator().get_state());
    return hash;
  }

  torch::nn::Linear model;
  torch::optim::Adam optimizer;
  checkpoint::State state;
};

CheckpointManagerOptions options() {
  return CheckpointManagerOptions()
      .every_n_epochs(1)
      .keep_last(2)
      .keep_best(1, "loss", checkpoint::Mode::kMin)
      .name("e{epoch}");
}

// A whole run of the training program; each epoch is handed to `done` when it is saved.
void train(const std::string& directory, Shared& shared,
           const std::function<void(int64_t, uint64_t)>& done) {
  torch::set_num_threads(1);
  torch::manual_seed(1);
  Training training;
  CheckpointManager manager(directory, options());
  const auto restored = manager.restore_latest(training.state);
  for (int64_t epoch = restored ? restored->progress().next_epoch() : 0; epoch < kEpochs; ++epoch) {
    training.one_epoch();
    manager.save_if_due(training.state, {epoch, epoch, std::abs(1.0 * (epoch - kBest))});
    done(epoch, training.digest());
    if (epoch == kPinned) {
      manager.pin("e" + std::to_string(kPinned));
      shared.pinned = true;
    }
  }
}

// What a killed training left. In a child: this uses LibTorch.
void check(const std::string& directory, const Shared& shared) {
  torch::set_num_threads(1);
  const int64_t acknowledged = shared.acknowledged;
  Training training;
  CheckpointManager manager(directory, options());
  std::set<int64_t> epochs;
  for (const checkpoint::CheckpointInfo& info : manager.list()) {
    if (!info.damage.empty()) fail("half-made " + info.name + " is listed: " + info.damage);
    manager.verify(info.name);
    epochs.insert(info.manifest.progress.epoch);
  }
  if (shared.pinned && epochs.count(kPinned) == 0) fail("the pinned checkpoint is gone");
  if (acknowledged > kBest && epochs.count(kBest) == 0) fail("the best checkpoint is gone");
  const auto restored = manager.restore_latest(training.state);
  if (!restored) {
    if (acknowledged >= 0)
      fail("nothing is left, and e" + std::to_string(acknowledged) + " was acknowledged");
    return;
  }
  const int64_t epoch = restored->progress().epoch;
  if (!restored->skipped.empty())
    fail("a checkpoint was passed over: " + restored->skipped[0].reason);
  if (epoch < acknowledged)
    fail("e" + std::to_string(epoch) + " is the newest, and e" + std::to_string(acknowledged) +
         " was acknowledged");
  if (training.digest() != shared.whole[epoch])
    fail("e" + std::to_string(epoch) + " restores something else");
}

class Torture {
 public:
  Torture(int cycles, uint32_t seed, std::string work)
      : cycles_(cycles),
        random_(seed),
        work_(std::move(work)),
        shared_(kill_test::make_shared_memory<Shared>()) {}

  void run() {
    must_end_well(in_child([&] {
                    train(work_ + "/whole", *shared_,
                          [&](int64_t epoch, uint64_t digest) { shared_->whole[epoch] = digest; });
                  }),
                  "the training that nobody kills");
    begin();
    for (; kills_ < cycles_;) one_cycle();
  }

  std::string summary() const {
    return std::to_string(kills_) + " kills: " + std::to_string(while_starting_) +
           " while starting or resuming, " + std::to_string(while_saving_) + " while saving, " +
           std::to_string(while_removing_) + " while removing, " + std::to_string(while_training_) +
           " between; after each the newest acknowledged checkpoint restored bit for bit; " +
           std::to_string(ended_) + " trainings ended as the one never killed";
  }
  std::string where() const { return "kill " + std::to_string(kills_) + ", in " + directory_; }

 private:
  void begin() {
    directory_ = work_ + "/run" + std::to_string(ended_);
    shared_->acknowledged = -1;
    shared_->pinned = false;
  }

  int below(int limit) { return static_cast<int>(random_() % static_cast<uint32_t>(limit)); }

  // The moment: soon after the start, anywhere, or once a directory comes into being or goes.
  void wait_for_the_moment(pid_t child) {
    switch (kills_ % 4) {
      case 0:
        ::usleep(static_cast<useconds_t>(below(20000)));
        return;
      case 1:
        ::usleep(static_cast<useconds_t>(below(200000)));
        return;
      default:
        break;
    }
    const char* const wanted = kills_ % 4 == 2 ? ".staging-" : ".retired-";
    if (!kill_test::wait_for_hidden(directory_, wanted, child)) return;
    ::usleep(static_cast<useconds_t>(below(1500)));
  }

  // What the killed one was doing, by what it left that was not there before.
  void count_moment(const std::string& left_before, int64_t acknowledged_before) {
    const std::string hidden = hidden_in(directory_);
    const bool fresh = !hidden.empty() && hidden != left_before;
    if (fresh && hidden.rfind(".staging-", 0) == 0) {
      ++while_saving_;
    } else if (fresh) {
      ++while_removing_;
    } else if (shared_->acknowledged == acknowledged_before) {
      ++while_starting_;
    } else {
      ++while_training_;
    }
  }

  void one_cycle() {
    const int64_t acknowledged = shared_->acknowledged;
    const std::string left_before = hidden_in(directory_);
    const pid_t child = in_child([&] {
      train(directory_, *shared_, [&](int64_t epoch, uint64_t digest) {
        shared_->acknowledged = epoch;
        if (digest != shared_->whole[epoch])
          fail("e" + std::to_string(epoch) + " went another way");
      });
    });
    wait_for_the_moment(child);
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (WIFEXITED(status)) {
      if (status != 0) fail("the training failed");
      // Killed after its last save, it had no more epoch to acknowledge. The last one must be there
      // now.
      shared_->acknowledged = kEpochs - 1;
      must_end_well(in_child([&] { check(directory_, *shared_); }), "the look at a whole training");
      fs::remove_all(directory_);
      ++ended_;
      begin();
      return;
    }
    ++kills_;
    count_moment(left_before, acknowledged);
    must_end_well(in_child([&] { check(directory_, *shared_); }), "the look at what was left");
  }

  const int cycles_;
  std::mt19937 random_;
  const std::string work_;
  Shared* const shared_;
  std::string directory_;
  int kills_ = 0;
  int ended_ = 0;
  int while_starting_ = 0, while_saving_ = 0, while_removing_ = 0, while_training_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  spdlog::set_level(spdlog::level::off);
  const int cycles = argc > 1 ? std::atoi(argv[1]) : 0;
  if (cycles <= 0) {
    std::fprintf(stderr, "usage: torture CYCLES [SEED]\n");
    return 2;
  }
  return kill_test::run_torture<Torture>("torture", argc > 2 ? argv[2] : nullptr, cycles);
}
