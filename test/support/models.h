#pragma once

#include <checkpoint/value.h>

#include <torch/torch.h>

#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace test {

/// A small network with parameters, buffers and a generator in use: convolution, BatchNorm,
/// Dropout.
struct NetImpl : torch::nn::Module {
  explicit NetImpl(int64_t hidden = 6)
      : conv(register_module("conv", torch::nn::Conv2d(1, 3, 3))),
        norm(register_module("norm", torch::nn::BatchNorm2d(3))),
        dropout(register_module("dropout", torch::nn::Dropout(0.25))),
        first(register_module("first", torch::nn::Linear(3 * 2 * 2, hidden))),
        second(register_module("second", torch::nn::Linear(hidden, 2))) {}

  torch::Tensor forward(torch::Tensor x) {
    x = torch::relu(norm(conv(x))).flatten(1);
    return second(dropout(torch::tanh(first(x))));
  }

  torch::nn::Conv2d conv;
  torch::nn::BatchNorm2d norm;
  torch::nn::Dropout dropout;
  torch::nn::Linear first, second;
};
TORCH_MODULE(Net);

/// An object that takes nothing back.
struct Refusing {
  checkpoint::Value state_dict() const { return 1; }
  void load_state_dict(const checkpoint::Value&) { throw std::runtime_error("I refuse"); }
};

/// Trains for some steps on inputs drawn from LibTorch's generator; returns the last loss.
inline double train(Net& net, torch::optim::Optimizer& optimizer, int steps) {
  double last = 0;
  for (int i = 0; i < steps; ++i) {
    const torch::Tensor x = torch::randn({8, 1, 4, 4});
    const torch::Tensor y = torch::randint(0, 2, {8});
    const torch::Tensor loss = optimizer.step([&] {
      optimizer.zero_grad();
      torch::Tensor value = torch::nn::functional::cross_entropy(net(x), y);
      value.backward();
      return value;
    });
    last = loss.item<double>();
  }
  return last;
}

/// Whether two tensors hold the same bits.
inline bool same_bits(const torch::Tensor& left, const torch::Tensor& right) {
  if (left.scalar_type() != right.scalar_type() || left.sizes() != right.sizes()) return false;
  const torch::Tensor a = left.detach().contiguous(), b = right.detach().contiguous();
  return a.numel() == 0 || std::memcmp(a.data_ptr(), b.data_ptr(),
                                       static_cast<size_t>(a.numel()) * a.element_size()) == 0;
}

/// The same of several tensors, on any devices.
inline bool same_bits(const std::vector<torch::Tensor>& left,
                      const std::vector<torch::Tensor>& right) {
  if (left.size() != right.size()) return false;
  for (size_t i = 0; i < left.size(); ++i) {
    if (!same_bits(left[i].detach().cpu(), right[i].detach().cpu())) return false;
  }
  return true;
}

inline bool same_bits(const torch::nn::Module& left, const torch::nn::Module& right) {
  const auto compare = [](const auto& a, const auto& b) {
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); ++i) {
      if (a[i].key() != b[i].key() || !same_bits(a[i].value(), b[i].value())) return false;
    }
    return true;
  };
  return compare(left.named_parameters(), right.named_parameters()) &&
         compare(left.named_buffers(), right.named_buffers());
}

/// Copies of a module's parameters and buffers, to see later whether any has changed.
inline std::vector<torch::Tensor> copies_of(const torch::nn::Module& module) {
  std::vector<torch::Tensor> copies;
  for (const auto& tensor : module.parameters()) copies.push_back(tensor.detach().clone());
  for (const auto& tensor : module.buffers()) copies.push_back(tensor.detach().clone());
  return copies;
}

inline bool unchanged(const torch::nn::Module& module, const std::vector<torch::Tensor>& before) {
  const std::vector<torch::Tensor> now = copies_of(module);
  for (size_t i = 0; i < now.size(); ++i) {
    if (!same_bits(now[i], before[i])) return false;
  }
  return true;
}

}  // namespace test
