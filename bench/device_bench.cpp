// Measures checkpoints of a training on a GPU, and the plain copies that bound them. Checks what it
// restores. Fails without a GPU.

#include "clock.h"
#include "folder.h"
#include "raw.h"
#include "report.h"
#include "training.h"

#include <c10/core/impl/VirtualGuardImpl.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using bench::Folder;
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
  bool fill = false;
  bool baselines = true;

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

/// Takes the GPU's memory, except for about `left` bytes.
std::vector<torch::Tensor> fill_gpu(size_t left) {
  constexpr int64_t kPiece = 256 << 20;
  std::vector<torch::Tensor> ballast;
  try {
    while (true) {
      ballast.push_back(
          torch::empty({kPiece}, torch::TensorOptions(torch::kCUDA).dtype(torch::kUInt8)));
    }
  } catch (const c10::Error&) {
    ballast.resize(ballast.size() - std::min(ballast.size(), left / kPiece + 1));
    return ballast;
  }
}

// Runs all measurements, and keeps what they share.
class DeviceBench {
 public:
  explicit DeviceBench(const Options& options)
      : options_(options),
        folder_(options.dir, "device-bench"),
        training_(options.bytes(), options.tensors, torch::kCUDA) {
    for (int i = 0; i < kWarmSteps; ++i) training_.step();
  }
  void run() {
    phase("first asynchronous save", [&] { first_asynchronous_save(); });
    for (int64_t round = 0; round < options_.rounds; ++round) {
      std::fprintf(stderr, "round %d of %d\n", static_cast<int>(round + 1),
                   static_cast<int>(options_.rounds));
      if (options_.baselines) phase("copies", [&] { copies(); });
      phase("save", [&] { save(); });
      phase("asynchronous save", [&] { asynchronous_save(); });
      phase("restores", [&] { restores(); });
      if (options_.baselines) phase("plain LibTorch", [&] { plain_libtorch(); });
      if (options_.fill) phase("save without room", [&] { asynchronous_save_without_room(); });
    }
    phase("check", [&] { check_asynchronous_save(); });
  }

  bool failed() const { return failed_; }

  Report& report() { return report_; }
  double bytes() const { return static_cast<double>(training_.bytes()); }

 private:
  std::string path(const std::string& name) const { return folder_.path() + '/' + name; }
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
    save_beside_steps(", first");
  }

  // Of no more than 4 GB: the host's memory holds several copies.
  void copies() {
    const auto bytes = static_cast<int64_t>(std::min<size_t>(training_.bytes(), 4000000000));
    const auto add_copy = [&](const std::string& name, double time) {
      report_.add(name, time, "s", static_cast<double>(bytes));
    };
    const auto options = torch::TensorOptions().dtype(torch::kUInt8);
    const torch::Tensor device = torch::ones({bytes}, options.device(torch::kCUDA));
    {
      torch::Tensor twin = torch::empty_like(device);
      twin.copy_(device);
      add_copy("copy on the device", device_seconds([&] { twin.copy_(device); }));
    }
    torch::Tensor pinned = torch::ones({bytes}, options.pinned_memory(true));
    add_copy("copy to pinned memory", device_seconds([&] { pinned.copy_(device, true); }));
    add_copy("copy from pinned memory", device_seconds([&] { device.copy_(pinned, true); }));
    torch::Tensor pageable = torch::ones({bytes}, options);
    add_copy("copy to pageable memory, warm", device_seconds([&] { pageable.copy_(device); }));
    add_copy("copy from pageable memory, warm", device_seconds([&] { device.copy_(pageable); }));
    add_copy("copy to pageable memory, fresh", device_seconds([&] { device.cpu(); }));
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

  // Waits for nothing but what training itself has queued.
  double synchronized_step() {
    return seconds([&] {
      training_.step();
      training_stream().synchronize();
    });
  }

  static c10::Stream training_stream() {
    const c10::impl::VirtualGuardImpl cuda(c10::kCUDA);
    return cuda.getStream(cuda.getDevice());
  }

  void asynchronous_save() {
    std::vector<double> alone;
    for (int i = 0; i < kStepsAlone; ++i) alone.push_back(synchronized_step());
    add_steps("step alone", alone);
    save_beside_steps("");
  }

  // There is room for the gradients, and not for a copy of the state.
  void asynchronous_save_without_room() {
    const std::vector<torch::Tensor> ballast = fill_gpu(training_.model_bytes() * 3 / 2);
    for (int i = 0; i < kWarmSteps; ++i) training_.step();
    save_beside_steps(", without room");
  }

  void save_beside_steps(const std::string& what) {
    std::filesystem::remove_all(path("async/bench"));
    std::vector<double> beside;
    const double all = seconds([&] {
      queue_save(what);
      const checkpoint::SaveHandle save = async_->last_save();
      while (!save.done()) beside.push_back(synchronized_step());
      save.wait();
    });
    add_steps("step beside a save" + what, beside);
    add("asynchronous save, until durable" + what, all);
  }

  // Begins when the device is idle.
  void queue_save(const std::string& what) {
    torch::cuda::synchronize();
    const double host = seconds([&] { async_->save(training_.state(), {}); });
    const double rest = seconds([&] { training_stream().synchronize(); });
    add("stall of the host" + what, host);
    add("stall of the training's stream" + what, host + rest);
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
    std::filesystem::remove_all(path("async/bench"));
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
  const Folder folder_;
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
  app.add_flag("--baselines,!--no-baselines", options.baselines,
               "Measure plain copies and plain LibTorch too");
  app.add_flag("--fill", options.fill,
               "Measure saves on a full GPU too: takes all its memory, from other programs too");
  app.add_option("--json", options.json, "A file for the figures");
  CLI11_PARSE(app, argc, argv);
  try {
    return run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "device_bench: %s\n", error.what());
    return 1;
  }
}
