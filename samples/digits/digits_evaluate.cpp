// Follows a training run from another process, and evaluates each checkpoint as it appears. It
// takes no lock and writes nothing, so it does not disturb the training.

#include <checkpoint/checkpoint.h>
#include <torch/torch.h>
#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdio>
#include <exception>
#include <string>
#include <thread>

#include "dataset.h"
#include "network.h"

namespace {

// The command line.
struct Options {
  std::string data;
  std::string dir;
  int64_t until_epoch = 0;
  double every_seconds = 1;
};

void run(const Options& options) {
  const digits::Dataset validation = digits::split(digits::load(options.data)).validation;
  digits::Network network;
  checkpoint::State state;
  state.add("model", network).rng(false);  // Only the model; the rest of the file is ignored.
  checkpoint::CheckpointManager manager(options.dir,
                                        checkpoint::CheckpointManagerOptions().read_only(true));

  int64_t last_sequence = 0;
  for (int64_t epoch = -1; epoch + 1 < options.until_epoch;) {
    const auto latest = manager.latest();
    if (!latest || latest->manifest.sequence == last_sequence) {
      std::this_thread::sleep_for(std::chrono::duration<double>(options.every_seconds));
      continue;
    }
    last_sequence = latest->manifest.sequence;
    try {
      epoch = manager.restore(state, latest->name).progress().epoch;
    } catch (const checkpoint::Error& error) {
      // Retention has removed it by now. A newer one exists.
      if (error.code() != checkpoint::ErrorCode::kNotFound) throw;
      continue;
    }
    std::printf("%s accuracy %.4f\n", latest->name.c_str(),
                digits::accuracy_of(network, validation));
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Evaluates the checkpoints of a training run as they appear.");
  app.add_option("--data", options.data, "The digits, one a line")->required();
  app.add_option("--dir", options.dir, "Where the training puts its checkpoints")->required();
  app.add_option("--until-epoch", options.until_epoch, "Ends after so many epochs")->required();
  app.add_option("--every", options.every_seconds, "Seconds between two checks");
  CLI11_PARSE(app, argc, argv);
  try {
    run(options);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "digits_evaluate: %s\n", error.what());
    return 1;
  }
}
