#include "format/tree/dense.h"

#include <checkpoint/average.h>
#include <checkpoint/restore.h>
#include <checkpoint/state_dict.h>

#include <torch/torch.h>

namespace checkpoint {

void copy_weights(const torch::nn::Module& from, torch::nn::Module& to) {
  load_state_dict(to, state_dict(from));
}

namespace {

bool is_averaged(const at::Tensor& tensor) {
  return tensor.is_floating_point() || tensor.is_complex();
}

}  // namespace

void update_average(torch::nn::Module& average, const torch::nn::Module& model, double decay) {
  const torch::NoGradGuard no_grad;
  const StateDict old = state_dict(average);
  StateDict mixed = state_dict(model);
  for (auto& entry : mixed) {
    const at::Tensor* const before = old.find(entry.key());
    // load_state_dict below refuses a tensor that does not fit.
    const bool fits = before != nullptr && before->sizes() == entry.value().sizes() &&
                      format::missing_memory(*before).empty() &&
                      format::missing_memory(entry.value()).empty();
    if (!fits || !is_averaged(*before) || !is_averaged(entry.value())) continue;
    entry.value() = *before * decay + entry.value().to(before->options()) * (1 - decay);
  }
  // If a module was cast as a whole, its counters have a floating-point dtype, so dtypes may
  // differ.
  load_state_dict(average, mixed, RestoreOptions().convert_dtype(true));
}

}  // namespace checkpoint
