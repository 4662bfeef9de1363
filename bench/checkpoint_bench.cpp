// Measures in one run: plain memory and disk, plain LibTorch, and this library. Each round measures
// each of them once. Ratios are taken within a round, so that other load on the machine disturbs
// both sides alike.

#include "clock.h"
#include "folder.h"
#include "memory.h"
#include "ranks.h"
#include "raw.h"
#include "report.h"
#include "training.h"

#include <CLI/CLI.hpp>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using bench::Folder;
using bench::PeakMemory;
using bench::Report;
using bench::seconds;
using bench::Training;
using bench::WarmMemory;
using checkpoint::CheckpointManager;
using checkpoint::CheckpointManagerOptions;
using checkpoint::RestoreOptions;

// The command line.
struct Options {
  double size_gb = 1;
  int64_t tensors = 100;
  int64_t rounds = 5;
  std::string dir = ".";
  std::string json;
  int ranks = 0;      // 0: one process.
  int64_t empty = 0;  // The most ranks of an empty save.
  std::string child;  // What a fresh process measures.
  std::string input;  // The file or directory for it.

  size_t bytes() const { return static_cast<size_t>(size_gb * 1e9); }
};

CheckpointManagerOptions manager_options() {
  return CheckpointManagerOptions().name("bench").every_n_steps(1000000000);
}

// Runs in a fresh process that has trained for two seconds. Measures how long its first
// asynchronous save stops it.
double first_stall(const Options& options) {
  Training training(options.bytes(), options.tensors);
  CheckpointManager manager(options.input, manager_options().async(true));
  manager.restore_latest(training.state());
  for (double trained = 0; trained < 2;) trained += seconds([&] { training.step(); });
  return seconds([&] { manager.save(training.state(), {}); });
}

// Runs in a fresh process. Measures from the start of the load to the last byte in place.
double restart_time(const Options& options) {
  Training training(options.bytes(), options.tensors);
  if (options.child == "restart-torch") {
    return seconds([&] { training.torch_load(options.input); });
  }
  CheckpointManager manager(options.input, manager_options());
  return seconds([&] { manager.restore_latest(training.state()); });
}

int run_child(const Options& options) {
  std::printf("seconds %.9f\n",
              options.child == "first-stall" ? first_stall(options) : restart_time(options));
  std::fflush(stdout);
  return 0;
}

// Starts this program again to measure `child`. Returns the seconds that it prints.
double measure_in_child(const Options& options, const std::string& child,
                        const std::string& input) {
  const std::string command = "'" + std::filesystem::read_symlink("/proc/self/exe").string() +
                              "' --size " + std::to_string(options.size_gb) + " --tensors " +
                              std::to_string(options.tensors) + " --child " + child + " --input '" +
                              input + "'";
  const std::unique_ptr<FILE, int (*)(FILE*)> output(::popen(command.c_str(), "r"), ::pclose);
  char line[1000];
  double value = 0;
  while (output && std::fgets(line, sizeof line, output.get()) != nullptr) {
    if (std::sscanf(line, "seconds %lf", &value) == 1) return value;  // Other lines are its log.
  }
  throw std::runtime_error("the process that measures " + child + " failed");
}

// Runs all rounds of measurements, and keeps what they share.
class Bench {
 public:
  explicit Bench(const Options& options)
      : options_(options),
        folder_(options.dir, "checkpoint-bench"),
        training_(options.bytes(), options.tensors),
        from_(training_.bytes()),
        to_(training_.bytes()) {
    training_.fill_optimizer_state();
  }
  void run() {
    for (int64_t round = 0; round < options_.rounds; ++round) {
      std::fprintf(stderr, "round %d of %d\n", static_cast<int>(round + 1),
                   static_cast<int>(options_.rounds));
      memory();
      saves();
      asynchronous_saves();
      restores();
      restarts();
      formats();
      many();
    }
    peaks();
    not_due();
  }

  Report& report() { return report_; }
  double bytes() const { return static_cast<double>(training_.bytes()); }

 private:
  std::string path(const std::string& name) const { return folder_.path() + '/' + name; }
  void remove(const std::string& name) { std::filesystem::remove_all(path(name)); }
  void add(const std::string& name, double time) { report_.add(name, time, "s", bytes()); }

  void memory() {
    add("memcpy warm, 1 thread", bench::copy_time(to_.data(), from_.data(), training_.bytes(), 1));
    add("memcpy warm, all cores",
        bench::copy_time(to_.data(), from_.data(), training_.bytes(), bench::cores()));
    add("memcpy fresh, all cores", bench::copy_fresh_time(from_, bench::cores()));
  }

  void saves() {
    remove("raw");
    remove("torch.pt");
    add("raw O_DIRECT write, fsync", bench::raw_write_time(path("raw"), from_));
    add("raw O_DIRECT read, all cores", bench::raw_read_time(path("raw"), to_, bench::cores()));
    remove("run");
    {
      CheckpointManager manager(path("run"), manager_options());
      add("save", seconds([&] { manager.save(training_.state(), {}); }));
    }
    add("torch::save, fsync", seconds([&] {
          training_.torch_save(path("torch.pt"));
          bench::sync_file(path("torch.pt"));
        }));
    report_.add("checkpoint.pt",
                static_cast<double>(std::filesystem::file_size(path("run/bench/checkpoint.pt"))),
                "B");
  }

  void asynchronous_saves() {
    if (!async_) {
      async_ = std::make_unique<CheckpointManager>(path("async"), manager_options().async(true));
      async_->save(training_.state(), {});  // The measured ones come after this one.
      async_->wait();
    }
    std::filesystem::remove_all(path("async/" + async_->last_save().name()));
    double alone = 0;
    for (int i = 0; i < kStepsAlone; ++i) alone += seconds([&] { training_.step(); });
    report_.add("step alone", alone / kStepsAlone);

    double beside = 0;
    double durable = 0;
    int steps = 0;
    const double stall = seconds([&] { async_->save(training_.state(), {}); });
    const checkpoint::SaveHandle save = async_->last_save();
    durable += seconds([&] {
      while (!save.done()) {
        beside += seconds([&] { training_.step(); });
        ++steps;
      }
    });
    save.wait();
    add("stall", stall);
    if (steps > 0) report_.add("step beside a save", beside / steps);
    report_.add("asynchronous save, until durable", stall + durable);

    remove("first");
    add("stall, first", measure_in_child(options_, "first-stall", path("first")));
    remove("first");
  }

  double restore_time(const RestoreOptions& options = {}) {
    CheckpointManager manager(path("run"), manager_options());
    return seconds([&] { manager.restore(training_.state(), "bench", options); });
  }

  void restores() {
    for (const char* file : {"checkpoint.pt", "tensors.json", "manifest.json"}) {
      bench::drop_cache(path("run/bench/") + file);
    }
    add("restore, cold", restore_time());
    bench::fill_cache(path("run/bench/checkpoint.pt"));
    add("restore, verified before", restore_time());
    add("restore, verified while reading",
        restore_time(RestoreOptions().verify(checkpoint::Verify::kWhileReading)));
    add("restore, not verified", restore_time(RestoreOptions().verify(checkpoint::Verify::kNever)));
    bench::fill_cache(path("torch.pt"));
    add("torch::load", seconds([&] { training_.torch_load(path("torch.pt")); }));
  }

  void restarts() {
    add("restart, torch::load", measure_in_child(options_, "restart-torch", path("torch.pt")));
    add("restart, verified before", measure_in_child(options_, "restart", path("run")));
  }

  // Reads Python's formats into live tensors, with as many bytes as the state elsewhere.
  // bench/peers.py measures Python's own readers.
  void formats() {
    if (!plain_) plain_ = std::make_unique<Training>(3 * options_.bytes(), 3 * options_.tensors);
    for (const std::string name : {"model.pth", "model.safetensors"}) {
      remove(name);
      checkpoint::save(checkpoint::state_dict(plain_->model()), path(name));
      bench::fill_cache(path(name));
      report_.add("into a model: " + name,
                  seconds([&] { checkpoint::load_state_dict(plain_->model(), path(name)); }), "s",
                  static_cast<double>(plain_->model_bytes()));
    }
  }

  // Few bytes, but 16,000 parameters, each with its optimizer state.
  void many() {
    if (!many_) {
      many_ = std::make_unique<Training>(kManyTensors * kManyBytes, kManyTensors);
      many_->fill_optimizer_state();
    }
    remove("many");
    remove("many.pt");
    CheckpointManager manager(path("many"), manager_options().format(checkpoint::Format::kPth));
    report_.add("save, 16,000 parameters", seconds([&] { manager.save(many_->state(), {}); }));
    report_.add("restore, 16,000 parameters",
                seconds([&] { manager.restore(many_->state(), "bench"); }));
    report_.add("torch::save, fsync, 16,000 parameters", seconds([&] {
                  many_->torch_save(path("many.pt"));
                  bench::sync_file(path("many.pt"));
                }));
    report_.add("torch::load, 16,000 parameters",
                seconds([&] { many_->torch_load(path("many.pt")); }));
  }

  // Measured apart: reading the memory usage takes time.
  void peaks() {
    remove("run");
    CheckpointManager manager(path("run"), manager_options());
    {
      PeakMemory peak;
      manager.save(training_.state(), {});
      report_.add("extra memory, save", peak.extra_mib(), "MiB");
    }
    async_.reset();
    {
      PeakMemory peak;
      CheckpointManager asynchronous(path("async"), manager_options().async(true));
      asynchronous.save(training_.state(), {});
      asynchronous.wait();
      report_.add("extra memory, asynchronous save", peak.extra_mib(), "MiB");
    }
    {
      PeakMemory peak;
      manager.restore_latest(training_.state());
      report_.add("extra memory, restore", peak.extra_mib(), "MiB");
    }
    {
      PeakMemory peak;
      training_.torch_save(path("torch.pt"));
      report_.add("extra memory, torch::save", peak.extra_mib(), "MiB");
    }
    {
      PeakMemory peak;
      training_.torch_load(path("torch.pt"));
      report_.add("extra memory, torch::load", peak.extra_mib(), "MiB");
    }
  }

  void not_due() {
    constexpr int kCalls = 1000000;
    CheckpointManager manager(path("never"), manager_options().every_n_epochs(1000));
    checkpoint::Progress progress;
    for (int64_t round = 0; round < options_.rounds; ++round) {
      const double time = seconds([&] {
        for (int i = 0; i < kCalls; ++i) {
          ++progress.step;
          manager.save_if_due(training_.state(), progress);
        }
      });
      report_.add("save_if_due, nothing due", time / kCalls * 1e9, "ns");
    }
  }

  static constexpr int kStepsAlone = 3;
  static constexpr int64_t kManyTensors = 16000;
  static constexpr size_t kManyBytes = 3 * 64 * sizeof(float);  // An 8 x 8 matrix and its state.

  const Options options_;
  const Folder folder_;
  Training training_;
  WarmMemory from_;
  WarmMemory to_;
  std::unique_ptr<CheckpointManager> async_;
  std::unique_ptr<Training> plain_;
  std::unique_ptr<Training> many_;
  Report report_;
};

void add_aims(Report& report) {
  constexpr auto kAtMost = Report::Aim::kAtMost;
  constexpr auto kAtLeast = Report::Aim::kAtLeast;
  const std::string memcpy = "memcpy warm, all cores";
  report.aim("stall_over_memcpy", "stall", memcpy, kAtMost, 1.3);
  report.aim("torch_save_over_stall", "torch::save, fsync", "stall", kAtLeast, 8);
  report.aim("first_stall_over_memcpy", "stall, first", memcpy, kAtMost, 2);
  report.aim("step_beside_save_over_alone", "step beside a save", "step alone", kAtMost, 1.15);
  report.aim("durable_over_raw", "raw O_DIRECT write, fsync", "save", kAtLeast, 0.9);
  report.aim("torch_save_over_save", "torch::save, fsync", "save", kAtLeast, 1.5);
  report.aim("restore_over_memcpy", memcpy, "restore, verified before", kAtLeast, 0.4);
  report.aim("fused_restore_over_memcpy", memcpy, "restore, verified while reading", kAtLeast, 0.6);
  report.aim("torch_load_over_restart", "restart, torch::load", "restart, verified before",
             kAtLeast, 1.5);
  report.aim("cold_restore_over_raw", "raw O_DIRECT read, all cores", "restore, cold", kAtLeast,
             0.8);
  report.aim("many_save", "torch::save, fsync, 16,000 parameters", "save, 16,000 parameters",
             kAtLeast, 10);
  report.aim("many_load", "torch::load, 16,000 parameters", "restore, 16,000 parameters", kAtLeast,
             10);
  report.aim("save_extra_mib", "extra memory, save", "", kAtMost, 64);
  report.aim("restore_extra_mib", "extra memory, restore", "", kAtMost, 64);
  report.aim("not_due_ns", "save_if_due, nothing due", "", kAtMost, 200);
}

int run_ranks(const Options& options) {
  const Folder folder(options.dir, "checkpoint-bench");
  Report report;
  if (options.ranks > 0) {
    bench::measure_ranks(
        {options.ranks, options.bytes(), options.tensors, options.rounds, folder.path()}, report);
  }
  if (options.empty > 0) {
    bench::measure_empty_saves(options.empty, options.rounds, folder.path(), report);
  }
  std::printf("%d ranks, %.3f GB, LibTorch %s, %d cores, %d rounds\n", options.ranks,
              options.size_gb, TORCH_VERSION, static_cast<int>(bench::cores()),
              static_cast<int>(options.rounds));
  report.print();
  return 0;
}

int run(const Options& options) {
  if (!options.child.empty()) return run_child(options);
  if (options.ranks > 0 || options.empty > 0) return run_ranks(options);
  Bench bench(options);
  bench.run();
  add_aims(bench.report());
  std::printf("%.3f GB in %d parameters with Adam's state, LibTorch %s, %d cores, %d rounds\n",
              bench.bytes() / 1e9, static_cast<int>(options.tensors), TORCH_VERSION,
              static_cast<int>(bench::cores()), static_cast<int>(options.rounds));
  bench.report().print();
  if (!options.json.empty()) {
    bench.report().write_json(options.json,
                              {{"libtorch", TORCH_VERSION},
                               {"cores", std::to_string(bench::cores())},
                               {"bytes", std::to_string(static_cast<size_t>(bench.bytes()))},
                               {"tensors", std::to_string(options.tensors)},
                               {"rounds", std::to_string(options.rounds)}});
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("What checkpoints cost, beside plain memory, disk and LibTorch.");
  app.option_defaults()->always_capture_default();
  app.add_option("--size", options.size_gb, "The state, in GB: a model with Adam")
      ->check(CLI::PositiveNumber);
  app.add_option("--tensors", options.tensors, "How many parameters it has")
      ->check(CLI::PositiveNumber);
  app.add_option("--rounds", options.rounds, "How often everything is measured")
      ->check(CLI::PositiveNumber);
  app.add_option("--dir", options.dir, "Where to write; removed afterwards")
      ->check(CLI::ExistingDirectory);
  app.add_option("--json", options.json, "A file for the figures");
  app.add_option("--ranks", options.ranks, "Only: so many processes with one checkpoint")
      ->check(CLI::PositiveNumber);
  app.add_option("--empty-saves", options.empty, "Only: saves of nothing, by up to so many ranks")
      ->check(CLI::PositiveNumber);
  app.add_option("--child", options.child)->group("");
  app.add_option("--input", options.input)->group("");
  CLI11_PARSE(app, argc, argv);
  try {
    return run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "checkpoint_bench: %s\n", error.what());
    return 1;
  }
}
