#pragma once

#include <checkpoint/checkpoint.h>
#include <torch/torch.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace bench {

/// A chain of square matrices, one for each parameter.
struct Chain : torch::nn::Module {
  Chain(int64_t tensors, int64_t width, torch::Device device);
  torch::Tensor forward(torch::Tensor input);
  std::vector<torch::Tensor> weights;
};

/// A model with Adam. Parameters, first and second moments have `bytes` in all.
class Training {
 public:
  Training(size_t bytes, int64_t tensors, torch::Device device = torch::kCPU);

  /// Runs forward, backward and the optimizer's step.
  void step();
  /// Gives every parameter an optimizer state that does not compress. Much faster than a step.
  void fill_optimizer_state();
  /// The bytes of parameters and optimizer state.
  size_t bytes() const { return bytes_; }
  Chain& model() { return *model_; }
  /// The bytes of the parameters alone.
  size_t model_bytes() const;
  checkpoint::State& state() { return state_; }

  /// Saves and loads like a program without this library.
  void torch_save(const std::string& path);
  void torch_load(const std::string& path);

 private:
  std::shared_ptr<Chain> model_;
  std::unique_ptr<torch::optim::Adam> optimizer_;
  torch::Tensor input_;
  checkpoint::State state_;
  size_t bytes_;
};

}  // namespace bench
