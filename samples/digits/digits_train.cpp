// Trains on handwritten digits. It may be killed at any moment, and started again with the same
// command.

#include <checkpoint/checkpoint.h>
#include <torch/torch.h>
#include <CLI/CLI.hpp>

#include <cstdio>
#include <exception>
#include <string>

#include "dataset.h"
#include "network.h"
#include "optimizers.h"
#include "weights_digest.h"

namespace {

constexpr int64_t kBatch = 32;

// The command line.
struct Options {
  std::string data;
  std::string dir;
  int64_t epochs = 15;
  uint64_t seed = 1;
  int64_t every = 1;
  int64_t keep = 3;
  std::string device = "cpu";
  std::string optimizer = "adam";
  bool async = false;
};

void describe(CLI::App& app, Options& options) {
  app.option_defaults()->always_capture_default();
  app.add_option("--data", options.data, "The digits, one a line")->required();
  app.add_option("--dir", options.dir, "Where the checkpoints are, or will be")->required();
  app.add_option("--epochs", options.epochs, "How many epochs in all")->check(CLI::PositiveNumber);
  app.add_option("--seed", options.seed, "Of the weights, the shuffling and the dropout");
  app.add_option("--every", options.every, "Epochs from one checkpoint to the next")
      ->check(CLI::PositiveNumber);
  app.add_option("--keep", options.keep, "How many checkpoints stay; 0: all")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--device", options.device, "cpu, cuda, cuda:1");
  app.add_option("--optimizer", options.optimizer, "What to train with")
      ->check(CLI::IsMember(digits::optimizer_names()));
  app.add_flag("--async", options.async, "Write checkpoints while training continues");
}

// Makes a resumed run compute the same as one that was not interrupted, to the last bit. Sums of
// floats depend on how they are split among threads, and so on the machine. One thread is enough
// here and gives the same sums everywhere. On a GPU, the kernels must also be deterministic.
void repeat_exactly(uint64_t seed) {
  torch::set_num_threads(1);
  at::globalContext().setDeterministicCuDNN(true);
  at::globalContext().setBenchmarkCuDNN(false);
  torch::manual_seed(seed);
}

// Trains for one epoch. Returns the mean loss. The order comes from LibTorch's own CPU generator,
// which every checkpoint holds: a resumed epoch shuffles as the killed one did.
double train_epoch(digits::Network& network, torch::optim::Optimizer& optimizer,
                   const digits::Dataset& data, int64_t& step) {
  network->train();
  double sum = 0;
  for (const torch::Tensor& indices : torch::randperm(data.size(), torch::kInt64).split(kBatch)) {
    const digits::Dataset batch = data.select(indices);
    optimizer.zero_grad();
    const torch::Tensor loss =
        torch::nn::functional::cross_entropy(network->forward(batch.images), batch.labels);
    loss.backward();
    optimizer.step();
    ++step;
    sum += loss.item<double>() * static_cast<double>(batch.size());
  }
  return sum / static_cast<double>(data.size());
}

void run(const Options& options) {
  repeat_exactly(options.seed);
  const torch::Device device(options.device);
  const digits::Split data = digits::split(digits::load(options.data));
  const digits::Dataset train = data.train.to(device);
  const digits::Dataset validation = data.validation.to(device);

  digits::Network network;
  network->to(device);
  const auto optimizer = digits::make_optimizer(options.optimizer, network->parameters());

  checkpoint::State state;
  state.add("model", network).add("optimizer", *optimizer);
  checkpoint::CheckpointManager manager(options.dir, checkpoint::CheckpointManagerOptions()
                                                         .every_n_epochs(options.every)
                                                         .keep_last(options.keep)
                                                         .async(options.async)
                                                         .name("epoch{epoch:04d}"));

  checkpoint::Progress progress;
  int64_t first = 0;
  if (const auto restored = manager.restore_latest(state)) {
    progress = restored->progress();
    first = progress.next_epoch();
    std::printf("resumed from %s at epoch %lld\n", restored->name().c_str(),
                static_cast<long long>(first));
    std::fflush(stdout);
  }

  for (int64_t epoch = first; epoch < options.epochs; ++epoch) {
    progress.epoch = epoch;
    progress.loss = train_epoch(network, *optimizer, train, progress.step);
    progress.metrics["accuracy"] = digits::accuracy_of(network, validation);
    std::printf("epoch %lld loss %.6f accuracy %.4f\n", static_cast<long long>(epoch),
                progress.loss, progress.metrics["accuracy"]);
    std::fflush(stdout);

    manager.save_if_due(state, progress);
  }

  // Saves what the last epochs reached, or throws.
  manager.save_final(state, progress);
  std::printf("final epoch=%lld loss=%.6f accuracy=%.4f weights=%s\n",
              static_cast<long long>(progress.next_epoch()), progress.loss,
              progress.metrics["accuracy"], digits::weights_digest(*network).c_str());
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Trains on handwritten digits, and resumes by itself.");
  describe(app, options);
  CLI11_PARSE(app, argc, argv);
  try {
    run(options);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "digits_train: %s\n", error.what());
    return 1;
  }
}
