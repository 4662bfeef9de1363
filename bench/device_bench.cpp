// Measures checkpoints of a training on a GPU, and the plain copies that bound them. Checks what it
// restores. Fails without a GPU.

#include "clock.h"
#include "raw.h"
#include "report.h"
#include "training.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <unistd.h>

namespace {

using bench::Report;
using bench::seconds;
using bench::Training;
using checkpoint::CheckpointManager;
using checkpoint::CheckpointManagerOptions;
using checkpoint::RestoreOptions;
using checkpoint::Verify;

// The command line.
struct Options {
  double size_gb = 4;
  int64_t tensors = 100;
  int64_t rounds = 5;
  std::string dir = ".";
  std::string json;

  size_t bytes() const { return static_cast<size_t>(size_gb * 1e9); }
};

CheckpointManagerOptions manager_options() {
  return CheckpointManagerOptions().name("bench").every_n_steps(1000000000);
}

/// Returns the seconds until the device, too, has finished the work.
template <typename Work>
double device_seconds(Work&& work) {
  torch::cuda::synchronize();
  return seconds([&] {
    work();
    torch::cuda::synchronize();
  });
}

// Runs all measurements, and keeps what they share.
class DeviceBench {
 public:
  explicit DeviceBench(const Options& options)
      : options_(options),
        root_((std::filesystem::absolute(options.dir) /
               ("device-bench-" + std::to_string(::getpid())))
                  .string()),
        training_(options.bytes(), options.tensors, torch::kCUDA) {
    std::filesystem::create_directories(root_);
    for (int i = 0; i < kWarmSteps; ++i) training_.step();
  }
  ~DeviceBench() {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }

  void run() {
    phase("first asynchronous save", [&] { first_asynchronous_save(); });
    for (int64_t round = 0; round < options_.rounds; ++round) {
      std::fprintf(stderr, "round %d of %d\n", static_cast<int>(round + 1),
                   static_cast<int>(options_.rounds));
      phase("copies", [&] { copies(); });
      phase("save", [&] { save(); });
      phase("asynchronous save", [&] { asynchronous_save(); });
      phase("restores", [&] { restores(); });
      phase("plain LibTorch", [&] { plain_libtorch(); });
    }
    phase("check", [&] { check_asynchronous_save(); });
  }

  bool failed() const { return failed_; }

  Report& report() { return report_; }
  double bytes() const { return static_cast<double>(training_.bytes()); }

 private:
  std::string path(const std::string& name) const { return root_ + '/' + name; }
  void add(const std::string& name, double time) { report_.add(name, time, "s", bytes()); }

  // A failure does not stop the other measurements: a machine with a GPU may be available only
  // once.
  template <typename Work>
  void phase(const char* name, Work&& work) {
    try {
      work();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "device_bench: %s: %s\n", name, error.what());
      failed_ = true;
    }
  }

  // Measured before anything else has used pinned memory.
  void first_asynchronous_save() {
    async_ = std::make_unique<CheckpointManager>(path("async"), manager_options().async(true));
    const double stall = device_queue_seconds([&] { async_->save(training_.state(), {}); });
    const double rest = seconds([&] { async_->wait(); });
    add("stall, first", stall);
    add("asynchronous save, first, until durable", stall + rest);
  }

  // Only the host's time, starting when the device is idle.
  template <typename Work>
  static double device_queue_seconds(Work&& work) {
    torch::cuda::synchronize();
    return seconds(work);
  }

  void copies() {
    const auto bytes = static_cast<int64_t>(training_.bytes());
    const auto options = torch::TensorOptions().dtype(torch::kUInt8);
    const torch::Tensor device = torch::ones({bytes}, options.device(torch::kCUDA));
    {
      torch::Tensor twin = torch::empty_like(device);
      twin.copy_(device);
      add("copy on the device", device_seconds([&] { twin.copy_(device); }));
    }
    torch::Tensor pinned = torch::ones({bytes}, options.pinned_memory(true));
    add("copy to pinned memory", device_seconds([&] { pinned.copy_(device, true); }));
    add("copy from pinned memory", device_seconds([&] { device.copy_(pinned, true); }));
    torch::Tensor pageable = torch::ones({bytes}, options);
    add("copy to pageable memory, warm", device_seconds([&] { pageable.copy_(device); }));
    add("copy from pageable memory, warm", device_seconds([&] { device.copy_(pageable); }));
    add("copy to pageable memory, fresh", device_seconds([&] { device.cpu(); }));
  }

  void save() {
    std::filesystem::remove_all(path("run"));
    CheckpointManager manager(path("run"), manager_options());
    add("save", device_seconds([&] { manager.save(training_.state(), {}); }));
  }

  void plain_libtorch() {
    std::filesystem::remove_all(path("torch.pt"));
    add("torch::save, fsync", device_seconds([&] {
          training_.torch_save(path("torch.pt"));
          bench::sync_file(path("torch.pt"));
        }));
    bench::fill_cache(path("torch.pt"));
    add("torch::load", device_seconds([&] { training_.torch_load(path("torch.pt")); }));
  }

  double synchronized_step() {
    return device_seconds([&] { training_.step(); });
  }

  void asynchronous_save() {
    std::filesystem::remove_all(path("async/" + async_->last_save().name()));
    std::vector<double> alone;
    for (int i = 0; i < kStepsAlone; ++i) alone.push_back(synchronized_step());
    add_steps("step alone", alone);

    const double stall = device_queue_seconds([&] { async_->save(training_.state(), {}); });
    const checkpoint::SaveHandle save = async_->last_save();
    std::vector<double> beside;
    const double rest = seconds([&] {
      while (!save.done()) beside.push_back(synchronized_step());
    });
    save.wait();
    add("stall", stall);
    add_steps("step beside a save", beside);
    add("asynchronous save, until durable", stall + rest);
  }

  void add_steps(const std::string& name, std::vector<double> times) {
    if (times.empty()) return;
    double sum = 0;
    for (const double time : times) sum += time;
    report_.add(name, sum / static_cast<double>(times.size()));
    report_.add(name + ", worst", *std::max_element(times.begin(), times.end()));
  }

  double restore_time(Verify verify) {
    CheckpointManager manager(path("run"), manager_options());
    return device_seconds(
        [&] { manager.restore(training_.state(), "bench", RestoreOptions().verify(verify)); });
  }

  void restores() {
    bench::fill_cache(path("run/bench/checkpoint.pt"));
    add("restore, verified before", restore_time(Verify::kBefore));
    add("restore, verified while reading", restore_time(Verify::kWhileReading));
    add("restore, not verified", restore_time(Verify::kNever));
  }

  std::vector<torch::Tensor> weights() {
    std::vector<torch::Tensor> copies;
    for (const torch::Tensor& weight : training_.model().weights) {
      copies.push_back(weight.detach().clone());
    }
    return copies;
  }

  // The file must hold the state of the moment when save() was called, not what later steps made of
  // it. The step after the restore, with Adam's moments, must lead to the same result.
  void check_asynchronous_save() {
    std::filesystem::remove_all(path("async/" + async_->last_save().name()));
    const auto saved = weights();
    async_->save(training_.state(), {});
    training_.step();
    const auto stepped = weights();
    while (!async_->last_save().done()) training_.step();
    async_->wait();
    async_->restore_latest(training_.state());
    check_equal(saved, "restored");
    training_.step();
    check_equal(stepped, "a step after the restore");
    std::fprintf(stderr, "what was restored is what was saved\n");
  }

  void check_equal(const std::vector<torch::Tensor>& expected, const std::string& what) {
    for (size_t i = 0; i < expected.size(); ++i) {
      const torch::Tensor& weight = training_.model().weights[i];
      if (!weight.is_cuda() || !torch::equal(weight, expected[i])) {
        throw std::runtime_error(what + ": the parameter " + std::to_string(i) + " differs");
      }
    }
  }

  static constexpr int kWarmSteps = 3;
  static constexpr int kStepsAlone = 50;

  const Options options_;
  const std::string root_;
  Training training_;
  std::unique_ptr<CheckpointManager> async_;
  Report report_;
  bool failed_ = false;
};

int run(const Options& options) {
  if (!torch::cuda::is_available()) throw std::runtime_error("there is no CUDA device");
  DeviceBench bench(options);
  bench.run();
  const std::string cores = std::to_string(bench::cores());
  std::printf("%.3f GB on a GPU in %d parameters with Adam's state, LibTorch %s, %s cores\n",
              bench.bytes() / 1e9, static_cast<int>(options.tensors), TORCH_VERSION, cores.c_str());
  bench.report().print();
  if (!options.json.empty()) {
    bench.report().write_json(options.json, {{"libtorch", TORCH_VERSION}, {"cores", cores}});
  }
  return bench.failed() ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("What checkpoints of a training on a GPU cost, beside plain copies and LibTorch.");
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
  CLI11_PARSE(app, argc, argv);
  try {
    return run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "device_bench: %s\n", error.what());
    return 1;
  }
}
