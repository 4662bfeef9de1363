#include "ranks.h"

#include "clock.h"
#include "support/tcp_stores.h"
#include "training.h"

#include <checkpoint/c10d.h>
#include <checkpoint/checkpoint.h>

#include <torch/torch.h>
#include <torch/csrc/distributed/c10d/HashStore.hpp>

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <thread>
#include <utility>

namespace bench {
namespace {

namespace fs = std::filesystem;
using checkpoint::CheckpointManager;
using checkpoint::CheckpointManagerOptions;
using checkpoint::Coordinator;
using checkpoint::RestoreOptions;
using checkpoint::State;

constexpr int kMostRanks = 64;
constexpr int kMostRounds = 64;
constexpr int64_t kRows = 8192;

enum Figure : size_t {
  kSaveAlone,
  kSave,
  kStallAlone,
  kStall,
  kRestoreAlone,
  kRestore,
  kReadVerified,
  kRead,
  kReadAlike,
  kReadOtherwise,
  kFigures
};

// What the processes share.
struct Board {
  std::atomic<int64_t> arrived;  // At the barrier, since the beginning.
  std::array<std::array<std::array<double, kMostRanks>, kFigures>, kMostRounds> figures;
};

Board& make_board() {
  void* const memory =
      ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::runtime_error("mmap failed");
  return *new (memory) Board();
}

// The bytes that this process has read so far, from the page cache or not.
double bytes_read() {
  double bytes = 0;
  if (std::FILE* const file = std::fopen("/proc/self/io", "r")) {
    if (std::fscanf(file, "rchar: %lf", &bytes) != 1) bytes = 0;
    std::fclose(file);
  }
  return bytes;
}

CheckpointManagerOptions options_of(std::shared_ptr<Coordinator> coordinator) {
  return CheckpointManagerOptions().name("bench").coordinator(std::move(coordinator));
}

RestoreOptions unverified() { return RestoreOptions().verify(checkpoint::Verify::kNever); }

// One rank of measure_ranks, in a process of its own.
class Rank {
 public:
  Rank(const RankOptions& options, int rank, Board& board)
      : options_(options),
        rank_(rank),
        board_(board),
        training_(options.bytes, options.tensors),
        coordinator_(checkpoint::directory_coordinator(path("talk"), rank, options.ranks)) {
    training_.fill_optimizer_state();
  }

  void run() {
    first_asynchronous_saves();  // The measured ones come after these.
    for (; round_ < options_.rounds; ++round_) {
      saves();
      asynchronous_saves();
      restores();
      parts();
    }
  }

 private:
  std::string path(const std::string& name) const { return options_.root + '/' + name; }

  // Waits for all ranks.
  void meet() {
    const int64_t all = (board_.arrived++ / options_.ranks + 1) * options_.ranks;
    while (board_.arrived < all) std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  void note(Figure figure, double value) {
    board_.figures[static_cast<size_t>(round_)][figure][static_cast<size_t>(rank_)] = value;
  }
  // All ranks at once.
  template <typename Work>
  void together(Figure figure, const Work& work) {
    meet();
    note(figure, seconds(work));
    meet();
  }
  // Rank 0, while the others wait.
  template <typename Work>
  void alone(Figure figure, const Work& work) {
    meet();
    if (rank_ == 0) note(figure, seconds(work));
    meet();
  }
  // What this rank reads, while all do the same.
  template <typename Work>
  void read(Figure figure, const Work& work) {
    meet();
    const double before = bytes_read();
    work();
    note(figure, bytes_read() - before);
    meet();
  }
  void forget(const std::string& name) {
    meet();
    if (rank_ == 0) fs::remove_all(path(name));
    meet();
  }

  void first_asynchronous_saves() {
    ranks_ =
        std::make_unique<CheckpointManager>(path("async"), options_of(coordinator_).async(true));
    ranks_->save(training_.state(), {});
    ranks_->wait();
    if (rank_ != 0) return;
    alone_ =
        std::make_unique<CheckpointManager>(path("async-alone"), options_of(nullptr).async(true));
    alone_->save(training_.state(), {});
    alone_->wait();
  }

  void saves() {
    forget("run");
    forget("run-alone");
    alone(kSaveAlone, [&] {
      CheckpointManager(path("run-alone"), options_of(nullptr)).save(training_.state(), {});
    });
    CheckpointManager manager(path("run"), options_of(coordinator_));
    together(kSave, [&] { manager.save(training_.state(), {}); });
  }

  void asynchronous_saves() {
    forget("async/bench");
    forget("async-alone/bench");
    alone(kStallAlone, [&] { alone_->save(training_.state(), {}); });
    if (alone_) alone_->wait();
    together(kStall, [&] { ranks_->save(training_.state(), {}); });
    ranks_->wait();
  }

  void restores() {
    alone(kRestoreAlone, [&] {
      CheckpointManager(path("run-alone"), options_of(nullptr)).restore(training_.state(), "bench");
    });
    CheckpointManager manager(path("run"), options_of(coordinator_));
    read(kReadVerified,
         [&] { note(kRestore, seconds([&] { manager.restore(training_.state(), "bench"); })); });
    read(kRead, [&] { manager.restore(training_.state(), "bench", unverified()); });
  }

  // A tensor of the state's size in parts, saved by rows, then restored by rows and by columns.
  void parts() {
    const int64_t ranks = options_.ranks;
    const int64_t high = kRows / ranks;
    const auto row = static_cast<int64_t>(options_.bytes / sizeof(float) / kRows);
    const int64_t wide = row / ranks;
    const std::vector<int64_t> whole = {high * ranks, wide * ranks};
    torch::Tensor rows = torch::ones({high, wide * ranks});
    torch::Tensor columns = torch::zeros({high * ranks, wide});
    State by_rows, by_columns;
    by_rows.add("tensor", rows).rng(false).shard({whole, {high * rank_, 0}, rows});
    by_columns.add("tensor", columns).rng(false).shard({whole, {0, wide * rank_}, columns});
    forget("parts");
    CheckpointManager manager(path("parts"), options_of(coordinator_));
    manager.save(by_rows, {});
    read(kReadAlike, [&] { manager.restore(by_rows, "bench", unverified()); });
    read(kReadOtherwise, [&] { manager.restore(by_columns, "bench", unverified()); });
  }

  const RankOptions& options_;
  const int rank_;
  Board& board_;
  Training training_;
  std::shared_ptr<Coordinator> coordinator_;
  std::unique_ptr<CheckpointManager> ranks_;
  std::unique_ptr<CheckpointManager> alone_;  // Of rank 0.
  int64_t round_ = 0;
};

// Runs all ranks, and waits for them. If one fails, ends the others.
void run_processes(const RankOptions& options, Board& board) {
  std::vector<pid_t> children;
  for (int rank = 0; rank < options.ranks; ++rank) {
    const pid_t child = ::fork();
    if (child == 0) {
      try {
        Rank(options, rank, board).run();
        ::_exit(0);
      } catch (const std::exception& error) {
        std::fprintf(stderr, "rank %d: %s\n", rank, error.what());
        ::_exit(1);
      }
    }
    children.push_back(child);
  }
  bool failed = false;
  for (size_t ended = 0; ended < children.size(); ++ended) {
    int status = 0;
    ::wait(&status);
    if (status == 0 || failed) continue;
    failed = true;
    for (const pid_t child : children) ::kill(child, SIGKILL);
  }
  if (failed) throw std::runtime_error("a rank failed");
}

// A store of c10d for each rank: threads of one process.
std::vector<c10::intrusive_ptr<c10d::Store>> hash_stores(int64_t ranks) {
  const auto store = c10::make_intrusive<c10d::HashStore>();
  return std::vector<c10::intrusive_ptr<c10d::Store>>(static_cast<size_t>(ranks), store);
}

// Returns the seconds of the slowest rank for each of some saves, after a first one.
std::vector<double> empty_saves(std::vector<c10::intrusive_ptr<c10d::Store>> stores, int64_t rounds,
                                const std::string& directory) {
  const auto ranks = static_cast<int>(stores.size());
  std::vector<double> slowest(static_cast<size_t>(rounds), 0);
  std::mutex mutex;
  std::condition_variable changed;
  int64_t arrived = 0;
  std::string failure;
  // A thousand threads that look again and again would be what is measured.
  const auto meet = [&] {
    std::unique_lock<std::mutex> lock(mutex);
    const int64_t all = (arrived++ / ranks + 1) * ranks;
    if (arrived == all) changed.notify_all();
    changed.wait(lock, [&] { return arrived >= all || !failure.empty(); });
  };
  const auto work = [&](int rank) {
    int64_t number = 0;
    State state;
    state.add("number", number).rng(false);
    CheckpointManager manager(
        directory, CheckpointManagerOptions().keep_last(1).coordinator(checkpoint::c10d_coordinator(
                       stores[static_cast<size_t>(rank)], rank, ranks)));
    manager.save(state, {});
    for (int64_t round = 0; round < rounds; ++round) {
      meet();
      const double time = seconds([&] { manager.save(state, {round + 1}); });
      const std::lock_guard<std::mutex> hold(mutex);
      double& most = slowest[static_cast<size_t>(round)];
      most = std::max(most, time);
    }
  };
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        work(rank);
      } catch (const std::exception& error) {
        const std::lock_guard<std::mutex> hold(mutex);
        failure = error.what();
        changed.notify_all();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (!failure.empty()) throw std::runtime_error(failure);
  return slowest;
}

void allow_many_files() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

void measure_ranks(const RankOptions& options, Report& report) {
  if (options.ranks > kMostRanks || options.rounds > kMostRounds) {
    throw std::runtime_error("at most 64 ranks and 64 rounds");
  }
  Board& board = make_board();
  run_processes(options, board);
  const auto bytes = static_cast<double>(options.bytes);
  const auto ranks = static_cast<size_t>(options.ranks);
  for (int64_t round = 0; round < options.rounds; ++round) {
    const auto& figures = board.figures[static_cast<size_t>(round)];
    const auto slowest = [&](Figure figure) {
      return *std::max_element(figures[figure].begin(), figures[figure].begin() + ranks);
    };
    report.add("save, one process", figures[kSaveAlone][0], "s", bytes);
    report.add("save, ranks", slowest(kSave), "s", bytes);
    report.add("stall, one process", figures[kStallAlone][0], "s", bytes);
    report.add("stall, slowest rank", slowest(kStall), "s", bytes);
    report.add("restore, one process", figures[kRestoreAlone][0], "s", bytes);
    report.add("restore, slowest rank", slowest(kRestore), "s", bytes);
    report.add("read by a rank, verified", slowest(kReadVerified), "B");
    report.add("read by a rank", slowest(kRead), "B");
    report.add("parts: read by a rank, divided alike", slowest(kReadAlike), "B");
    report.add("parts: read by a rank, divided otherwise", slowest(kReadOtherwise), "B");
  }
  double most = 0;
  for (const auto& file : fs::directory_iterator(options.root + "/run/bench")) {
    if (file.path().extension() == ".pt") {
      most = std::max(most, static_cast<double>(file.file_size()));
    }
  }
  report.add("written by a rank, at most", most, "B");
  report.aim("ranks_stall_over_alone", "stall, slowest rank", "stall, one process",
             Report::Aim::kAtMost, 1.2);
}

void measure_empty_saves(int64_t most, int64_t rounds, const std::string& root, Report& report) {
  allow_many_files();
  for (int64_t ranks = 1; ranks <= most; ranks *= 4) {
    for (const bool tcp : {false, true}) {
      const std::string name = std::string(tcp ? "TCPStore" : "HashStore") + ", " +
                               std::to_string(ranks) + (ranks == 1 ? " rank" : " ranks");
      try {
        const auto stores = tcp ? test::tcp_stores(static_cast<size_t>(ranks)) : hash_stores(ranks);
        for (const double time : empty_saves(stores, rounds, root + "/empty-" + name)) {
          report.add("empty save, " + name, time);
          std::fprintf(stderr, "%s: %.4f s\n", name.c_str(), time);
        }
      } catch (const std::exception& error) {
        std::fprintf(stderr, "%s: %s\n", name.c_str(), error.what());
      }
    }
  }
}

}  // namespace bench
