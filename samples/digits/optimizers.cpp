#include "optimizers.h"

#include <torch/torch.h>

#include <functional>
#include <map>
#include <stdexcept>

namespace digits {
namespace {

using Parameters = std::vector<torch::Tensor>;
using Maker = std::function<std::unique_ptr<torch::optim::Optimizer>(Parameters)>;

template <typename Optimizer, typename Options>
Maker maker(Options options) {
  return [options](Parameters parameters) {
    return std::make_unique<Optimizer>(std::move(parameters), options);
  };
}

// The options make each optimizer keep all the state that it can: momentum, averages, maxima.
const std::map<std::string, Maker>& makers() {
  using namespace torch::optim;
  static const std::map<std::string, Maker> all = {
      {"adagrad", maker<Adagrad>(AdagradOptions(0.01))},
      {"adam", maker<Adam>(AdamOptions(0.001).amsgrad(true))},
      {"adamw", maker<AdamW>(AdamWOptions(0.001).weight_decay(0.01))},
      {"rmsprop", maker<RMSprop>(RMSpropOptions(0.0005).momentum(0.5).centered(true))},
      {"sgd", maker<SGD>(SGDOptions(0.02).momentum(0.9).nesterov(true))}};
  return all;
}

}  // namespace

const std::vector<std::string>& optimizer_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> result;
    for (const auto& entry : makers()) result.push_back(entry.first);
    return result;
  }();
  return names;
}

std::unique_ptr<torch::optim::Optimizer> make_optimizer(const std::string& name,
                                                        Parameters parameters) {
  const auto found = makers().find(name);
  if (found == makers().end()) throw std::invalid_argument("unknown optimizer '" + name + "'");
  return found->second(std::move(parameters));
}

}  // namespace digits
