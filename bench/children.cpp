// What a fresh process measures: where the memory that a process has used before would disturb, or
// where a start from nothing is what matters.

#include "children.h"

#include "clock.h"
#include "raw.h"
#include "training.h"

#include <checkpoint/checkpoint.h>

#include <cstdio>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace bench {
namespace {

using checkpoint::CheckpointManager;
using checkpoint::CheckpointManagerOptions;
using checkpoint::Format;
using Seconds = std::vector<double>;

constexpr int64_t kManyTensors = 16000;

CheckpointManagerOptions fresh_options() {
  return CheckpointManagerOptions().name("bench").every_n_steps(1000000000);
}

// How long the first asynchronous save stops a process that has trained for two seconds.
Seconds first_stall(const Options& options) {
  Training training(options.bytes(), options.tensors);
  CheckpointManager manager(options.input, fresh_options().async(true));
  manager.restore_latest(training.state());
  for (double trained = 0; trained < 2;) trained += seconds([&] { training.step(); });
  return {seconds([&] { manager.save(training.state(), {}); })};
}

// From the start of the load to the last byte in place.
Seconds restart(const Options& options) {
  Training training(options.bytes(), options.tensors);
  CheckpointManager manager(options.input, fresh_options());
  return {seconds([&] { manager.restore_latest(training.state()); })};
}

Seconds torch_restart(const Options& options) {
  Training training(options.bytes(), options.tensors);
  return {seconds([&] { training.torch_load(options.input); })};
}

// The state of `many_…`.
struct ManyTensors : Training {
  ManyTensors() : Training(kManyTensors * kBytes, kManyTensors) { fill_optimizer_state(); }
  static constexpr size_t kBytes = 3 * 64 * sizeof(float);  // An 8 x 8 matrix and its state.
};

// The first save, and another one by the same manager.
Seconds many_save(const Options& options, Format format) {
  ManyTensors training;
  CheckpointManager manager(options.input, fresh_options().format(format));
  const auto save = [&] { manager.save(training.state(), {}); };
  const double first = seconds(save);
  return {first, seconds(save)};
}

Seconds many_restore(const Options& options) {
  ManyTensors training;
  CheckpointManager manager(options.input, fresh_options());
  const auto restore = [&] { manager.restore(training.state(), "bench"); };
  const double first = seconds(restore);
  return {first, seconds(restore)};
}

Seconds many_torch_save(const Options& options) {
  ManyTensors training;
  return {seconds([&] {
    training.torch_save(options.input);
    sync_file(options.input);
  })};
}

Seconds many_torch_load(const Options& options) {
  ManyTensors training;
  return {seconds([&] { training.torch_load(options.input); })};
}

using Child = std::function<Seconds(const Options&)>;

const std::map<std::string, Child>& all_children() {
  static const std::map<std::string, Child> children = {
      {"first-stall", first_stall},
      {"restart", restart},
      {"restart-torch", torch_restart},
      {"many-save-archive", [](const Options& o) { return many_save(o, Format::kArchive); }},
      {"many-save-pth", [](const Options& o) { return many_save(o, Format::kPth); }},
      {"many-restore", many_restore},
      {"many-save-torch", many_torch_save},
      {"many-load-torch", many_torch_load},
  };
  return children;
}

}  // namespace

void run_child(const Options& options) {
  const auto child = all_children().find(options.child);
  if (child == all_children().end()) throw std::runtime_error("cannot measure " + options.child);
  for (const double time : child->second(options)) std::printf("seconds %.9f\n", time);
  std::fflush(stdout);
}

std::vector<double> measure_in_child(const Options& options, const std::string& child,
                                     const std::string& input) {
  const std::string command = "'" + std::filesystem::read_symlink("/proc/self/exe").string() +
                              "' --size " + std::to_string(options.size_gb) + " --tensors " +
                              std::to_string(options.tensors) + " --child " + child + " --input '" +
                              input + "'";
  std::unique_ptr<FILE, int (*)(FILE*)> output(::popen(command.c_str(), "r"), ::pclose);
  char line[1000];
  std::vector<double> times;
  while (output && std::fgets(line, sizeof line, output.get()) != nullptr) {
    double time = 0;
    if (std::sscanf(line, "seconds %lf", &time) == 1) times.push_back(time);  // Else: its log.
  }
  if (!output || ::pclose(output.release()) != 0 || times.empty()) {
    throw std::runtime_error("the process that measures " + child + " failed");
  }
  return times;
}

}  // namespace bench
