#pragma once

#include "compat/torch_compat.h"
#include "device/device_under_test.h"
#include "support/models.h"

#include <checkpoint/checkpoint.h>

#include <torch/torch.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace test {

/// A model whose parameters are made on their device: LibTorch cannot move them to all types.
struct DeviceNetImpl : torch::nn::Module {
  explicit DeviceNetImpl(c10::Device where)
      : first(register_parameter("first", torch::randn({16, 32}).to(where))),
        bias(register_parameter("bias", torch::zeros({32}).to(where))),
        second(register_parameter("second", torch::randn({32, 4}).to(where))),
        mean(register_buffer("mean", torch::zeros({32}).to(where))) {}

  torch::Tensor forward(const torch::Tensor& x) {
    const torch::Tensor hidden = x.mm(first) + bias;
    const torch::NoGradGuard no_grad;
    mean.mul_(0.9).add_(hidden.mean(0), 0.1);
    const at::AutoGradMode with_grad(true);
    return torch::tanh(hidden).mm(second);
  }

  torch::Tensor first, bias, second, mean;
};
TORCH_MODULE(DeviceNet);

/// A training on a device, and its State.
struct Training {
  explicit Training(c10::Device where, uint64_t seed = 1) {
    torch::manual_seed(seed);
    net = DeviceNet(where);
    adam = std::make_unique<torch::optim::Adam>(net->parameters(), torch::optim::AdamOptions(0.01));
    x = torch::randn({8, 16}).to(where);
    state.add("model", net).add("optimizer", *adam).rng(false);
  }

  void train(int steps) {
    for (int i = 0; i < steps; ++i) {
      adam->zero_grad();
      net->forward(x).pow(2).mean().backward();
      adam->step();
    }
  }

  /// Everything that is trained.
  std::vector<torch::Tensor> tensors() {
    std::vector<torch::Tensor> all = net->parameters();
    for (const torch::Tensor& buffer : net->buffers()) all.push_back(buffer);
    std::vector<torch::Tensor> states;
    for (const torch::Tensor& parameter : net->parameters()) {
      const auto found = adam->state().find(checkpoint::compat::state_key(parameter));
      if (found == adam->state().end()) continue;
      auto& of_adam = static_cast<torch::optim::AdamParamState&>(*found->second);
      states.push_back(of_adam.exp_avg());
      states.push_back(of_adam.exp_avg_sq());
    }
    all.insert(all.end(), states.begin(), states.end());
    return all;
  }
  /// The same, as it is now, on the host.
  std::vector<torch::Tensor> values() {
    std::vector<torch::Tensor> all;
    for (const torch::Tensor& tensor : tensors()) all.push_back(tensor.detach().cpu().clone());
    return all;
  }
  void overwrite(double value = -77) {
    const torch::NoGradGuard no_grad;
    for (torch::Tensor& tensor : tensors()) tensor.fill_(value);
  }

  DeviceNet net{nullptr};
  std::unique_ptr<torch::optim::Adam> adam;
  torch::Tensor x;
  checkpoint::State state;
};

/// Draws from the device's generator.
inline torch::Tensor draw(int64_t count) {
  return torch::empty({count}, torch::TensorOptions().device(device())).normal_().cpu();
}

/// Tensors on a device, of every kind that a copy may get wrong.
struct EveryTensor {
  explicit EveryTensor(c10::Device where) {
    const torch::Tensor base = torch::randn({20, 30}).to(where);
    add("base", base);
    add("transposed", torch::randn({30, 70}).to(where).t());
    add("columns", base.slice(1, 3, 9));
    add("rows", base.slice(0, 2, 5));
    add("tied", base);
    add("permuted_view", torch::randn({4, 6, 5}).to(where).permute({2, 0, 1}).slice(1, 1, 3));
    add("expanded", torch::randn({1, 5}).to(where).expand({3, 5}));
    add("conj", torch::view_as_complex(torch::randn({5, 2})).to(where).conj());
    add("conj_view",
        torch::view_as_complex(torch::randn({4, 6, 2})).to(where).t().conj().slice(1, 0, 3));
    add("half", torch::randn({9}).to(torch::kHalf).to(where));
    add("bfloat16", torch::randn({2, 3}).to(torch::kBFloat16).to(where));
    add("bool", torch::randn({7}).gt(0).to(where));
    add("int8", torch::arange(5, torch::kInt8).to(where));
    // Two dtypes in one memory.
    const torch::Tensor bytes = torch::arange(64, torch::kInt8).to(where);
    add("bytes", bytes.slice(0, 1, 20));
    torch::Tensor floats = torch::empty({0}, torch::TensorOptions().device(where));
    add("floats", floats.set_(bytes.storage(), 3, {5}, {1}));
    add("empty", torch::empty({0, 3}, torch::TensorOptions().device(where)));
    add("scalar", torch::tensor(3.5).to(where));
    torch::Tensor leaf = torch::randn({4}).to(where);
    leaf.set_requires_grad(true);
    add("leaf", leaf);
    add("twin", leaf.detach());
    add("on_host", torch::randn({6}));
  }
  void add(const std::string& name, const torch::Tensor& tensor) {
    tensors.emplace_back(name, tensor);
  }

  checkpoint::State state() {
    checkpoint::State result;
    for (auto& [name, tensor] : tensors) result.add(name, tensor);
    result.rng(false);
    return result;
  }
  std::vector<torch::Tensor> values() const {
    std::vector<torch::Tensor> all;
    for (const auto& [name, tensor] : tensors) {
      all.push_back(tensor.detach().cpu().resolve_conj().contiguous().clone());
    }
    return all;
  }
  /// The names of those that differ.
  std::string differing(const std::vector<torch::Tensor>& wanted) const {
    const std::vector<torch::Tensor> found = values();
    std::string names;
    for (size_t i = 0; i < wanted.size(); ++i) {
      if (!same_bits(found[i], wanted[i])) names += tensors[i].first + " ";
    }
    return names;
  }
  void overwrite() {
    const torch::NoGradGuard no_grad;
    for (auto& [name, tensor] : tensors) {
      if (name != "expanded") tensor.fill_(1);
    }
  }

  std::vector<std::pair<std::string, torch::Tensor>> tensors;
};

}  // namespace test
