#pragma once

#include <checkpoint/export.h>

#include <torch/nn/module.h>

namespace checkpoint {

/// Copies all parameters and buffers of one module into another of the same shape, in place: a
/// target network. Throws Error(incompatible) if they do not fit; nothing has changed then.
TORCH_CHECKPOINT_API void copy_weights(const torch::nn::Module& from, torch::nn::Module& to);
/// Moves the floating-point parameters and buffers of `average` towards those of `model`:
/// average = decay * average + (1 - decay) * model (an exponential moving average; a soft update of
/// a target network has decay = 1 - tau). Other tensors (counters) are copied, whatever their dtype
/// in either. Throws as copy_weights, also where a counter does not fit the average's dtype.
TORCH_CHECKPOINT_API void update_average(torch::nn::Module& average, const torch::nn::Module& model,
                                         double decay);

}  // namespace checkpoint
