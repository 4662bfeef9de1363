#pragma once

#include <checkpoint/export.h>
#include <checkpoint/file.h>
#include <checkpoint/restore.h>
#include <checkpoint/value.h>

#include <torch/nn/module.h>
#include <torch/optim/optimizer.h>

#include <string>

namespace checkpoint {

/// A module's parameters and buffers by name. The tensors share the live ones' memory, as in
/// Python, and require no gradient: clone what is to outlast the next optimizer step.
TORCH_CHECKPOINT_API StateDict state_dict(const torch::nn::Module& module);

/// Copies a StateDict's tensors into a module's, in place, on whatever device each is. Throws
/// Error(incompatible) with everything that does not fit if `strict`; nothing has changed then.
/// The options may filter, rename and convert; their keys are those of the dict.
TORCH_CHECKPOINT_API RestoreReport load_state_dict(torch::nn::Module& module, const StateDict& dict,
                                                   Strict strict = Strict::kYes);
TORCH_CHECKPOINT_API RestoreReport load_state_dict(torch::nn::Module& module, const StateDict& dict,
                                                   const RestoreOptions& options);
/// The same from a file of any format that `load` reads, or a checkpoint, straight into the
/// module's memory: nothing is read that is not needed, and no second copy is made. With `item`,
/// what stands below that name in the file: `load_state_dict(*model, "runs/digits/latest", {},
/// "model")`. Throws as `load` and as above; where reading fails midway, Error(io) or
/// Error(corrupt), and the module must not be used.
TORCH_CHECKPOINT_API RestoreReport load_state_dict(torch::nn::Module& module,
                                                   const std::string& path,
                                                   const RestoreOptions& options = {},
                                                   const std::string& item = {});

/// An optimizer's state in the form that Python's `optimizer.state_dict()` has: {"state": {0: {…}},
/// "param_groups": [{…, "params": [0, 1]}]}, for `optimizer.load_state_dict(…)` there. Parameters
/// are known by their position alone: both programs must give them in the same order. The tensors
/// share the live ones' memory. SGD, Adam, AdamW, RMSprop and Adagrad, and classes that save as
/// these; any other: Error(unsupported).
TORCH_CHECKPOINT_API Value optimizer_state_dict(const torch::optim::Optimizer& optimizer);

/// The way back: what Python's `optimizer.state_dict()` returned, into an optimizer of the same
/// class over the same parameters. Its options become those of the file. Throws Error(incompatible)
/// with everything that does not fit (also an option that LibTorch does not have and that changes
/// the steps: maximize); nothing has changed then.
TORCH_CHECKPOINT_API RestoreReport load_optimizer_state_dict(torch::optim::Optimizer& optimizer,
                                                             const Value& state_dict);

}  // namespace checkpoint
