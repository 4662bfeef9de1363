// The README's example. Tests build it, run it and compare it with the README (test/readme).

// [readme]
#include <checkpoint/checkpoint.h>
#include <torch/torch.h>

#include <algorithm>
#include <cstdio>

int main() {
  torch::nn::Sequential model(torch::nn::Linear(2, 16), torch::nn::Tanh(),
                              torch::nn::Linear(16, 1));
  torch::optim::Adam optimizer(model->parameters(), torch::optim::AdamOptions(0.01));
  double best_loss = 1e9;

  checkpoint::State state;  // references to live objects, which must outlive it
  state.add("model", model).add("optimizer", optimizer).add("best_loss", best_loss);

  checkpoint::CheckpointManager manager(
      "runs/quickstart", checkpoint::CheckpointManagerOptions().every_n_epochs(5).keep_last(3));

  // 0 at the first start. After a crash all of the above is back, and the random generators too.
  checkpoint::Progress progress;
  const int64_t first = manager.resume(state, progress);
  std::printf("starting at epoch %d\n", static_cast<int>(first));

  for (int64_t epoch = first; epoch < 20; ++epoch) {
    const torch::Tensor input = torch::rand({64, 2});
    const torch::Tensor loss = torch::mse_loss(model->forward(input), input.prod(1, true));
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();

    progress.epoch = epoch;
    progress.step += 1;
    progress.loss = loss.item<double>();
    best_loss = std::min(best_loss, progress.loss);
    manager.save_if_due(state, progress);  // on disk, whole and synced, when it returns
  }
  manager.save_final(state, progress);  // what is newer than the last checkpoint, if anything is
  std::printf("loss %.4f, best %.4f\n", progress.loss, best_loss);
}
// [readme]
