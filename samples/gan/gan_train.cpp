// Saves two models and two optimizers in one checkpoint. A generator learns to put points on a
// circle, and a discriminator learns to tell them from real ones.

#include <checkpoint/checkpoint.h>
#include <torch/torch.h>
#include <CLI/CLI.hpp>

#include <cstdio>
#include <exception>
#include <string>

#include "digits/weights_digest.h"

namespace {

constexpr int64_t kBatch = 128;
constexpr int64_t kNoise = 8;
constexpr int kStepsPerEpoch = 100;
constexpr double kTwoPi = 6.283185307179586;

torch::nn::Sequential perceptron(int64_t in, int64_t out) {
  return torch::nn::Sequential(
      torch::nn::Linear(in, 32),
      torch::nn::LeakyReLU(torch::nn::LeakyReLUOptions().negative_slope(0.2)),
      torch::nn::Linear(32, 32),
      torch::nn::LeakyReLU(torch::nn::LeakyReLUOptions().negative_slope(0.2)),
      torch::nn::Linear(32, out));
}

// Returns a batch of real points.
torch::Tensor points_on_circle() {
  const torch::Tensor angle = torch::rand({kBatch}) * kTwoPi;
  return torch::stack({angle.cos(), angle.sin()}, 1);
}

// Returns the loss of the discriminator's logits if the points count as real ones, or as fake ones.
torch::Tensor loss_if(const torch::Tensor& logits, bool real) {
  return torch::binary_cross_entropy_with_logits(
      logits, real ? torch::ones_like(logits) : torch::zeros_like(logits));
}

// The two networks with their optimizers.
struct Gan {
  torch::nn::Sequential generator = perceptron(kNoise, 2);
  torch::nn::Sequential discriminator = perceptron(2, 1);
  torch::optim::Adam generator_optimizer{generator->parameters(),
                                         torch::optim::AdamOptions(1e-3).betas({0.5, 0.999})};
  torch::optim::Adam discriminator_optimizer{discriminator->parameters(),
                                             torch::optim::AdamOptions(1e-3).betas({0.5, 0.999})};

  // Trains both on one batch. Returns the loss of the generator.
  double step() {
    const torch::Tensor fake = generator->forward(torch::randn({kBatch, kNoise}));
    discriminator_optimizer.zero_grad();
    (loss_if(discriminator->forward(points_on_circle()), true) +
     loss_if(discriminator->forward(fake.detach()), false))
        .backward();
    discriminator_optimizer.step();

    generator_optimizer.zero_grad();
    const torch::Tensor loss = loss_if(discriminator->forward(fake), true);
    loss.backward();
    generator_optimizer.step();
    return loss.item<double>();
  }
};

void run(const std::string& directory, int64_t epochs) {
  torch::set_num_threads(1);  // Gives the same sums, to the last bit, on every machine.
  torch::manual_seed(1);
  Gan gan;
  checkpoint::State state;
  state.add("generator", gan.generator)
      .add("discriminator", gan.discriminator)
      .add("generator_optimizer", gan.generator_optimizer)
      .add("discriminator_optimizer", gan.discriminator_optimizer);
  checkpoint::CheckpointManager manager(
      directory, checkpoint::CheckpointManagerOptions().every_n_epochs(1).keep_last(2));

  checkpoint::Progress progress;
  int64_t first = 0;
  if (const auto restored = manager.restore_latest(state)) {
    progress = restored->progress();
    first = progress.next_epoch();
    std::printf("resumed at epoch %lld\n", static_cast<long long>(first));
  }
  for (int64_t epoch = first; epoch < epochs; ++epoch) {
    progress.epoch = epoch;
    for (int i = 0; i < kStepsPerEpoch; ++i, ++progress.step) progress.loss = gan.step();
    manager.save_if_due(state, progress);
  }
  manager.save_final(state, progress);
  std::printf("final epoch=%lld generator=%s discriminator=%s\n",
              static_cast<long long>(progress.next_epoch()),
              digits::weights_digest(*gan.generator).c_str(),
              digits::weights_digest(*gan.discriminator).c_str());
}

}  // namespace

int main(int argc, char** argv) {
  std::string directory;
  int64_t epochs = 10;
  CLI::App app("Trains a small GAN, and resumes by itself.");
  app.add_option("--dir", directory, "Where the checkpoints are, or will be")->required();
  app.add_option("--epochs", epochs, "How many epochs in all");
  CLI11_PARSE(app, argc, argv);
  try {
    run(directory, epochs);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gan_train: %s\n", error.what());
    return 1;
  }
}
