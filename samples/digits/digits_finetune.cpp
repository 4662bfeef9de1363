// Fine-tunes the network that digits_train has trained to tell ten digits apart. It gives the
// network a new head that tells odd from even, and trains only the head.

#include <checkpoint/checkpoint.h>
#include <torch/torch.h>
#include <CLI/CLI.hpp>

#include <cstdio>
#include <exception>
#include <string>

#include "dataset.h"
#include "network.h"

namespace {

// The command line.
struct Options {
  std::string data;
  std::string from;
  int64_t epochs = 3;
};

// How the names of the head's parameters begin.
const char kHead[] = "classifier.4.";

// Loads the trained weights, except the head's, whose shape is another. Returns what was left out.
checkpoint::RestoreReport load_backbone(digits::Network& network, const std::string& from) {
  const checkpoint::StateDict weights = checkpoint::load_weights(from, torch::kCPU, "model");
  return checkpoint::load_state_dict(*network, weights, checkpoint::Strict::kNo);
}

void freeze_all_but_the_head(digits::Network& network) {
  for (auto& parameter : network->named_parameters()) {
    parameter.value().requires_grad_(parameter.key().rfind(kHead, 0) == 0);
  }
}

void train_epoch(digits::Network& network, torch::optim::Optimizer& optimizer,
                 const digits::Dataset& data) {
  for (const torch::Tensor& indices : torch::randperm(data.size(), torch::kInt64).split(32)) {
    const digits::Dataset batch = data.select(indices);
    optimizer.zero_grad();
    torch::nn::functional::cross_entropy(network->forward(batch.images), batch.labels % 2)
        .backward();
    optimizer.step();
  }
}

double accuracy_on(digits::Network& network, const digits::Dataset& data) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor right = network->forward(data.images).argmax(1).eq(data.labels % 2);
  return right.to(torch::kDouble).mean().item<double>();
}

void run(const Options& options) {
  torch::manual_seed(1);
  const digits::Split data = digits::split(digits::load(options.data));
  digits::Network network(/*classes=*/2);
  std::printf("new weights for\n%s\n", load_backbone(network, options.from).to_string().c_str());
  freeze_all_but_the_head(network);
  network->eval();  // The backbone's BatchNorm stays as it was trained.

  torch::optim::Adam optimizer(network->parameters(), torch::optim::AdamOptions(0.01));
  for (int64_t epoch = 0; epoch < options.epochs; ++epoch) {
    train_epoch(network, optimizer, data.train);
    std::printf("epoch %lld accuracy %.4f\n", static_cast<long long>(epoch),
                accuracy_on(network, data.validation));
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Fine-tunes a trained network for another task.");
  app.add_option("--data", options.data, "The digits, one a line")->required();
  app.add_option("--from", options.from, "A checkpoint of digits_train")->required();
  app.add_option("--epochs", options.epochs, "How many epochs");
  CLI11_PARSE(app, argc, argv);
  try {
    run(options);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "digits_finetune: %s\n", error.what());
    return 1;
  }
}
