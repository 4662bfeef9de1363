#pragma once

#include "compat/torch_compat.h"

#include <torch/torch.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

// The model, the optimizers and the training of trees.py.

namespace checkpoint {

inline const std::vector<std::string>& optimizer_names() {
  static const std::vector<std::string> names = {"SGD",     "Adam",    "AdamW",
                                                 "RMSprop", "Adagrad", "LBFGS"};
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
  if (name == "LBFGS") {  // It takes one group.
    LBFGSOptions options(0.25);
    if (with_options) options.lr(0.5).max_iter(4).history_size(3);
    return std::make_unique<LBFGS>(model->parameters(), options);
  }
  AdagradOptions options(0.5);
  if (with_options) options.lr(0.05).lr_decay(0.01).initial_accumulator_value(0.1);
  return in_two_groups<Adagrad>(model, options);
}

/// Calls `after_step` with each loss: a scheduler's step.
inline std::vector<double> train(torch::nn::Sequential& model, torch::optim::Optimizer& optimizer,
                                 int steps,
                                 const std::function<void(double)>& after_step = nullptr) {
  std::vector<double> losses;
  for (int step = 0; step < steps; ++step) {
    const at::Tensor inputs = torch::linspace(-1, 1, 24).reshape({8, 3}) + 0.01 * step;
    const at::Tensor targets = torch::stack({inputs.sum(1), inputs.prod(1)}, 1);
    const at::Tensor loss = optimizer.step([&] {
      const at::Tensor result = torch::mse_loss(model->forward(inputs), targets);
      optimizer.zero_grad();
      result.backward();
      return result;
    });
    losses.push_back(loss.item<double>());
    if (after_step) after_step(losses.back());
  }
  return losses;
}

inline void step(torch::optim::LRScheduler& scheduler, double) { scheduler.step(); }

#if TORCH_CHECKPOINT_HAS_PLATEAU
inline torch::optim::ReduceLROnPlateauScheduler make_plateau(torch::optim::Optimizer& optimizer) {
  using Plateau = torch::optim::ReduceLROnPlateauScheduler;
  return Plateau(optimizer, Plateau::min, 0.5F, /*patience=*/1, /*threshold=*/0.25);
}
inline void step(torch::optim::ReduceLROnPlateauScheduler& scheduler, double loss) {
  scheduler.step(static_cast<float>(loss));
}
#endif

}  // namespace checkpoint
