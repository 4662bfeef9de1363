// Trains on a machine that may be taken away (docs/preemption.md). Schedulers send SIGTERM or
// SIGUSR1 some time before they kill a job. The program then saves in the middle of the epoch and
// ends. The same command continues exactly there.

#include <checkpoint/checkpoint.h>
#include <torch/torch.h>
#include <CLI/CLI.hpp>

#include <csignal>
#include <cstdio>
#include <exception>
#include <string>

#include "digits/dataset.h"
#include "digits/network.h"
#include "digits/weights_digest.h"

namespace {

constexpr size_t kBatch = 32;

// The command line.
struct Options {
  std::string data;
  std::string dir;
  int64_t epochs = 15;
  int stopped_status = 0;
};

// The digits one by one, as a DataLoader needs them.
class Examples : public torch::data::datasets::Dataset<Examples> {
 public:
  explicit Examples(digits::Dataset digits) : digits_(std::move(digits)) {}
  torch::data::Example<> get(size_t index) override {
    const auto row = static_cast<int64_t>(index);
    return {digits_.images[row], digits_.labels[row]};
  }
  torch::optional<size_t> size() const override { return static_cast<size_t>(digits_.size()); }

 private:
  digits::Dataset digits_;
};

// Trains on one batch. Returns the sum of its losses.
double train_step(digits::Network& network, torch::optim::Optimizer& optimizer,
                  const torch::data::Example<>& batch) {
  network->train();
  optimizer.zero_grad();
  const torch::Tensor loss =
      torch::nn::functional::cross_entropy(network->forward(batch.data), batch.target);
  loss.backward();
  optimizer.step();
  return loss.item<double>() * static_cast<double>(batch.data.size(0));
}

// Trains. Returns whether a signal stopped it.
bool run(const Options& options) {
  torch::set_num_threads(1);  // Gives the same sums, to the last bit, on every machine.
  torch::manual_seed(1);
  const digits::Split data = digits::split(digits::load(options.data));
  digits::Network network;
  torch::optim::Adam optimizer(network->parameters(), torch::optim::AdamOptions(1e-3));
  double loss_sum = 0;  // Of the current epoch. Saved too, because saves may come in mid-epoch.

  auto sampler =
      checkpoint::ResumableSampler::shuffled(static_cast<size_t>(data.train.size()), /*seed=*/1);
  auto loader =
      torch::data::make_data_loader(Examples(data.train).map(torch::data::transforms::Stack<>()),
                                    sampler, torch::data::DataLoaderOptions(kBatch).workers(1));

  checkpoint::State state;
  state.add("model", network)
      .add("optimizer", optimizer)
      .add("sampler", sampler)
      .add("loss_sum", loss_sum);
  checkpoint::CheckpointManager manager(options.dir,
                                        checkpoint::CheckpointManagerOptions()
                                            .stop_on_signal({SIGTERM, SIGUSR1})
                                            .every(std::chrono::minutes(10))
                                            .every_n_epochs(5)
                                            .keep_last(2)
                                            .keep_best(1, "accuracy", checkpoint::Mode::kMax));

  checkpoint::Progress progress;
  int64_t first = 0;
  if (const auto restored = manager.restore_latest(state)) {
    progress = restored->progress();
    first = progress.next_epoch();
    std::printf("resumed from %s\n", restored->name().c_str());
  }

  for (int64_t epoch = first; epoch < options.epochs; ++epoch) {
    progress.epoch = epoch;
    progress.epoch_done = false;
    sampler.set_epoch(epoch);
    for (const auto& batch : *loader) {
      loss_sum += train_step(network, optimizer, batch);
      progress.step += 1;
      sampler.advance(static_cast<size_t>(batch.data.size(0)));
      manager.save_if_due(state, progress);
      if (manager.should_stop()) return true;
    }
    progress.loss = loss_sum / static_cast<double>(data.train.size());
    loss_sum = 0;
    progress.metrics["accuracy"] = digits::accuracy_of(network, data.validation);
    progress.epoch_done = true;
    std::printf("epoch %lld accuracy %.4f\n", static_cast<long long>(epoch),
                progress.metrics["accuracy"]);
    std::fflush(stdout);
    manager.save_if_due(state, progress);
    if (manager.should_stop()) return true;
  }
  manager.save_final(state, progress);
  std::printf("final step=%lld loss=%.6f weights=%s\n", static_cast<long long>(progress.step),
              progress.loss, digits::weights_digest(*network).c_str());
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Trains on handwritten digits; SIGTERM and SIGUSR1 make it save and end.");
  app.add_option("--data", options.data, "The digits, one a line")->required();
  app.add_option("--dir", options.dir, "Where the checkpoints are, or will be")->required();
  app.add_option("--epochs", options.epochs, "How many epochs in all");
  app.add_option("--stopped-status", options.stopped_status,
                 "Exit status when a signal has stopped it, for schedulers that start a job again "
                 "only if it fails");
  CLI11_PARSE(app, argc, argv);
  try {
    if (!run(options)) return 0;
    std::printf("stopped by a signal; all is saved\n");
    return options.stopped_status;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "preemption_train: %s\n", error.what());
    return 1;
  }
}
