#include "training.h"

#include <cmath>

namespace bench {
namespace {

constexpr int64_t kBatch = 64;
constexpr size_t kCopies = 3;  // A parameter, and Adam's two moments of it.

int64_t width_for(size_t bytes, int64_t tensors) {
  const double elements = static_cast<double>(bytes) / sizeof(float) / kCopies / tensors;
  return std::max<int64_t>(1, static_cast<int64_t>(std::sqrt(elements)));
}

}  // namespace

Chain::Chain(int64_t tensors, int64_t width, torch::Device device) {
  for (int64_t i = 0; i < tensors; ++i) {
    weights.push_back(register_parameter("weight" + std::to_string(i),
                                         torch::randn({width, width}, device) / std::sqrt(width)));
  }
}

torch::Tensor Chain::forward(torch::Tensor input) {
  for (const torch::Tensor& weight : weights) input = torch::tanh(torch::mm(input, weight));
  return input;
}

Training::Training(size_t bytes, int64_t tensors, torch::Device device) {
  const int64_t width = width_for(bytes, tensors);
  model_ = std::make_shared<Chain>(tensors, width, device);
  optimizer_ =
      std::make_unique<torch::optim::Adam>(model_->parameters(), torch::optim::AdamOptions(1e-5));
  input_ = torch::randn({kBatch, width}, device);
  state_.add("model", model_).add("optimizer", *optimizer_);
  bytes_ = static_cast<size_t>(tensors * width * width) * sizeof(float) * kCopies;
}

size_t Training::model_bytes() const { return bytes_ / kCopies; }

void Training::step() {
  optimizer_->zero_grad();
  model_->forward(input_).square().mean().backward();
  optimizer_->step();
}

void Training::fill_optimizer_state() {
  for (torch::Tensor& weight : model_->weights) weight.mutable_grad() = torch::randn_like(weight);
  optimizer_->step();
  for (torch::Tensor& weight : model_->weights) weight.mutable_grad() = torch::Tensor();
}

void Training::torch_save(const std::string& path) {
  torch::serialize::OutputArchive archive;
  torch::serialize::OutputArchive model(archive.compilation_unit());
  torch::serialize::OutputArchive optimizer(archive.compilation_unit());
  model_->save(model);
  optimizer_->save(optimizer);
  archive.write("model", model);
  archive.write("optimizer", optimizer);
  archive.save_to(path);
}

void Training::torch_load(const std::string& path) {
  torch::serialize::InputArchive archive;
  archive.load_from(path);
  torch::serialize::InputArchive model;
  torch::serialize::InputArchive optimizer;
  archive.read("model", model);
  archive.read("optimizer", optimizer);
  model_->load(model);
  optimizer_->load(optimizer);
}

}  // namespace bench
