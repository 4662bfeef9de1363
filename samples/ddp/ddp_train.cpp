// Trains on handwritten digits with several processes, which average their gradients. All of them
// may be killed at any moment, and started again with the same command, also as more or fewer
// processes: samples/ddp/run.sh, or torchrun.

#include <checkpoint/c10d.h>
#include <checkpoint/checkpoint.h>
#include <torch/torch.h>
#include <CLI/CLI.hpp>

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "digits/dataset.h"
#include "digits/network.h"
#include "digits/weights_digest.h"
#include "process_group.h"

namespace {

constexpr size_t kBatch = 16;

// The command line.
struct Options {
  std::string data;
  std::string dir;
  int64_t epochs = 10;
  uint64_t seed = 1;
  bool async = false;
};

void describe(CLI::App& app, Options& options) {
  app.option_defaults()->always_capture_default();
  app.add_option("--data", options.data, "The digits, one a line")->required();
  app.add_option("--dir", options.dir, "Where the checkpoints are, or will be")->required();
  app.add_option("--epochs", options.epochs, "How many epochs in all")->check(CLI::PositiveNumber);
  app.add_option("--seed", options.seed, "Of the weights, the shuffling and the dropout");
  app.add_flag("--async", options.async, "Write checkpoints while training continues");
}

// The gradients of the sum of a batch's losses, and the loss. A rank may have no examples left
// where another has one: it then only takes part in the sum.
double add_gradients(digits::Network& network, const digits::Dataset& data,
                     const std::vector<size_t>& indices) {
  for (torch::Tensor& parameter : network->parameters()) {
    parameter.mutable_grad() = torch::zeros_like(parameter);
  }
  if (indices.empty()) return 0;
  const std::vector<int64_t> rows(indices.begin(), indices.end());
  const digits::Dataset batch = data.select(torch::tensor(rows));
  const torch::Tensor loss = torch::nn::functional::cross_entropy(
      network->forward(batch.images), batch.labels,
      torch::nn::functional::CrossEntropyFuncOptions().reduction(torch::kSum));
  loss.backward();
  return loss.item<double>();
}

// Trains for one epoch. Returns the mean loss over all ranks.
double train_epoch(digits::Network& network, torch::optim::Optimizer& optimizer,
                   const digits::Dataset& data, checkpoint::ResumableSampler& sampler,
                   int64_t epoch, ddp::ProcessGroup& group, int64_t& step) {
  network->train();
  sampler.set_epoch(epoch);
  sampler.reset();
  torch::Tensor totals = torch::zeros({2});  // The loss, and the number of examples.
  while (sampler.position() < sampler.size()) {
    const std::vector<size_t> indices = sampler.next(kBatch).value_or(std::vector<size_t>());
    const double loss = add_gradients(network, data, indices);
    const torch::Tensor count = torch::tensor({static_cast<float>(indices.size())});
    std::vector<torch::Tensor> sums = {count};
    for (const torch::Tensor& parameter : network->parameters()) sums.push_back(parameter.grad());
    group.sum(sums);
    for (torch::Tensor& parameter : network->parameters()) parameter.mutable_grad() /= count;
    optimizer.step();
    sampler.advance(indices.size());
    totals += torch::tensor({static_cast<float>(loss), static_cast<float>(indices.size())});
    ++step;
  }
  group.sum({totals});
  return totals[0].item<double>() / totals[1].item<double>();
}

// Each rank's BatchNorm has seen other examples. From here on all have the same statistics.
void average_buffers(digits::Network& network, ddp::ProcessGroup& group) {
  std::vector<torch::Tensor> statistics;
  for (const torch::Tensor& buffer : network->buffers()) {
    if (buffer.is_floating_point()) statistics.push_back(buffer);
  }
  group.sum(statistics);
  for (torch::Tensor& buffer : statistics) buffer /= group.size();
}

void run(const Options& options) {
  ddp::ProcessGroup group;
  torch::set_num_threads(1);  // Gives the same sums everywhere.
  torch::manual_seed(options.seed);
  const digits::Split data = digits::split(digits::load(options.data));
  digits::Network network;  // The same on all ranks, by the seed.
  torch::manual_seed(options.seed + 1000 * static_cast<uint64_t>(group.rank()));
  torch::optim::Adam optimizer(network->parameters(), torch::optim::AdamOptions(2e-3));
  auto sampler = checkpoint::ResumableSampler::shuffled(
      static_cast<size_t>(data.train.size()), options.seed, static_cast<size_t>(group.rank()),
      static_cast<size_t>(group.size()));

  checkpoint::State state;  // The random generators are each rank's own.
  state.add("model", network).add("optimizer", optimizer).add("sampler", sampler);
  checkpoint::CheckpointManager manager(
      options.dir,
      checkpoint::CheckpointManagerOptions()
          .every_n_epochs(1)
          .keep_last(2)
          .async(options.async)
          .name("epoch{epoch:04d}")
          .replicas_must_agree(true)
          .coordinator(checkpoint::c10d_coordinator(group.store(), group.rank(), group.size())));

  const bool speaks = group.rank() == 0;
  checkpoint::Progress progress;
  const int64_t first = manager.resume(state, progress);
  if (first > 0 && speaks) {
    std::printf("resumed at epoch %lld on %d ranks\n", static_cast<long long>(first), group.size());
    std::fflush(stdout);
  }

  for (int64_t epoch = first; epoch < options.epochs; ++epoch) {
    progress.epoch = epoch;
    progress.loss =
        train_epoch(network, optimizer, data.train, sampler, epoch, group, progress.step);
    average_buffers(network, group);
    progress.metrics["accuracy"] = digits::accuracy_of(network, data.validation);
    if (speaks) {
      std::printf("epoch %lld loss %.6f accuracy %.4f\n", static_cast<long long>(epoch),
                  progress.loss, progress.metrics["accuracy"]);
      std::fflush(stdout);
    }
    manager.save_if_due(state, progress);
  }

  manager.save_final(state, progress);
  if (speaks) {
    std::printf("final epoch=%lld loss=%.6f accuracy=%.4f weights=%s\n",
                static_cast<long long>(progress.next_epoch()), progress.loss,
                progress.metrics["accuracy"], digits::weights_digest(*network).c_str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Trains on handwritten digits with several processes, and resumes by itself.");
  describe(app, options);
  CLI11_PARSE(app, argc, argv);
  try {
    run(options);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ddp_train: %s\n", error.what());
    return 1;
  }
}
