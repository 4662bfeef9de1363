#pragma once

#include <torch/torch.h>

#include <memory>
#include <string>
#include <vector>

// The model, the optimizers and the training of trees.py.

namespace checkpoint {

inline const std::vector<std::string>& optimizer_names() {
  static const std::vector<std::string> names = {"SGD", "Adam", "AdamW", "RMSprop", "Adagrad"};
  return names;
}

inline torch::nn::Sequential small_model() {
  return torch::nn::Sequential(torch::nn::Linear(3, 4), torch::nn::BatchNorm1d(4),
                               torch::nn::ReLU(), torch::nn::Linear(4, 2));
}

template <typename OptimizerT, typename OptionsT>
std::unique_ptr<torch::optim::Optimizer> in_two_groups(torch::nn::Sequential& model,
                                                       const OptionsT& options) {
  const std::vector<at::Tensor> all = model->parameters();
  OptionsT second = options;
  second.lr(options.lr() / 2);
  return std::make_unique<OptimizerT>(
      std::vector<torch::optim::OptimizerParamGroup>{
          {{all.begin(), all.begin() + 2}, std::make_unique<OptionsT>(options)},
          {{all.begin() + 2, all.end()}, std::make_unique<OptionsT>(second)}},
      options);
}

/// With trees.py's options; or with others, so that only a file can bring those.
inline std::unique_ptr<torch::optim::Optimizer> make_optimizer(const std::string& name,
                                                               torch::nn::Sequential& model,
                                                               bool with_options) {
  using namespace torch::optim;
  if (name == "SGD") {
    SGDOptions options(0.5);
    if (with_options) options.lr(0.05).momentum(0.9).nesterov(true).weight_decay(0.01);
    return in_two_groups<SGD>(model, options);
  }
  if (name == "Adam") {
    AdamOptions options(0.5);
    if (with_options) options.lr(0.01).weight_decay(0.01).amsgrad(true);
    return in_two_groups<Adam>(model, options);
  }
  if (name == "AdamW") {
    AdamWOptions options(0.5);
    if (with_options) options.lr(0.01).betas({0.8, 0.99});
    return in_two_groups<AdamW>(model, options);
  }
  if (name == "RMSprop") {
    RMSpropOptions options(0.5);
    if (with_options) options.lr(0.01).momentum(0.5).centered(true);
    return in_two_groups<RMSprop>(model, options);
  }
  AdagradOptions options(0.5);
  if (with_options) options.lr(0.05).lr_decay(0.01).initial_accumulator_value(0.1);
  return in_two_groups<Adagrad>(model, options);
}

inline std::vector<double> train(torch::nn::Sequential& model, torch::optim::Optimizer& optimizer,
                                 int steps) {
  std::vector<double> losses;
  for (int step = 0; step < steps; ++step) {
    const at::Tensor inputs = torch::linspace(-1, 1, 24).reshape({8, 3}) + 0.01 * step;
    const at::Tensor targets = torch::stack({inputs.sum(1), inputs.prod(1)}, 1);
    const at::Tensor loss = torch::mse_loss(model->forward(inputs), targets);
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
    losses.push_back(loss.item<double>());
  }
  return losses;
}

}  // namespace checkpoint
