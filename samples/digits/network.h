#pragma once

#include <torch/torch.h>

#include "dataset.h"

namespace digits {

/// Two convolutions and two linear layers. BatchNorm brings buffers that no optimizer touches, and
/// Dropout draws random numbers at every step: a resumed run goes astray without either.
class NetworkImpl : public torch::nn::Module {
 public:
  explicit NetworkImpl(int64_t classes = 10) {
    classifier_->push_back(torch::nn::Linear(128, classes));
    register_module("features", features_);
    register_module("classifier", classifier_);
  }

  /// Images N x 1 x 8 x 8 to logits N x classes.
  torch::Tensor forward(const torch::Tensor& images) {
    return classifier_->forward(features_->forward(images));
  }

 private:
  torch::nn::Sequential features_{torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 32, 3).padding(1)),
                                  torch::nn::BatchNorm2d(32),
                                  torch::nn::ReLU(),
                                  torch::nn::Conv2d(torch::nn::Conv2dOptions(32, 64, 3).padding(1)),
                                  torch::nn::BatchNorm2d(64),
                                  torch::nn::ReLU(),
                                  torch::nn::MaxPool2d(2)};
  torch::nn::Sequential classifier_{torch::nn::Flatten(), torch::nn::Linear(64 * 4 * 4, 128),
                                    torch::nn::ReLU(), torch::nn::Dropout(0.3)};
};
TORCH_MODULE(Network);

/// Returns the share of digits that are recognised. Leaves the network in eval mode.
inline double accuracy_of(Network& network, const Dataset& data) {
  const torch::NoGradGuard no_grad;
  network->eval();
  const torch::Tensor right = network->forward(data.images).argmax(1).eq(data.labels);
  return right.to(torch::kDouble).mean().item<double>();
}

}  // namespace digits
