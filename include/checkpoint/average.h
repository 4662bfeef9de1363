#pragma once

#include <checkpoint/export.h>

#include <torch/nn/module.h>

namespace checkpoint {

/// Copies all parameters and buffers of one module into another with the same names and shapes, in
/// place, for instance into a target network. Throws Error(incompatible) if they do not match. Then
/// nothing has changed.
TORCH_CHECKPOINT_API void copy_weights(const torch::nn::Module& from, torch::nn::Module& to);
/// Moves the floating-point parameters and buffers of `average` towards those of `model`:
///
///     average = decay * average + (1 - decay) * model
///
/// This is an exponential moving average. A soft update of a target network has decay = 1 - tau.
/// Other tensors, such as counters, are copied, also to another dtype. Throws Error(incompatible)
/// if the modules do not match, or if a counter does not fit the average's dtype. Then nothing has
/// changed.
TORCH_CHECKPOINT_API void update_average(torch::nn::Module& average, const torch::nn::Module& model,
                                         double decay);

}  // namespace checkpoint
