#pragma once

#include <checkpoint/export.h>
#include <checkpoint/file.h>
#include <checkpoint/restore.h>
#include <checkpoint/value.h>

#include <torch/nn/module.h>
#include <torch/optim/optimizer.h>

#include <string>

namespace checkpoint {

/// Returns a module's parameters and buffers by name. The tensors share the live ones' memory, as
/// in Python, and require no gradient. Clone what must outlast the next optimizer step.
TORCH_CHECKPOINT_API StateDict state_dict(const torch::nn::Module& module);

/// Copies the tensors of a StateDict into a module's, in place, on the device where each is. With
/// Strict::kYes, throws Error(incompatible) with everything that does not match; then nothing has
/// changed.
TORCH_CHECKPOINT_API RestoreReport load_state_dict(torch::nn::Module& module, const StateDict& dict,
                                                   Strict strict = Strict::kYes);
/// Copies the tensors of a StateDict, as above. The options may filter, rename and convert. Their
/// keys are the keys of the dict.
TORCH_CHECKPOINT_API RestoreReport load_state_dict(torch::nn::Module& module, const StateDict& dict,
                                                   const RestoreOptions& options);
/// Reads a file of any format that `load` reads, or a checkpoint, straight into a module's memory.
/// Makes no second copy, and reads only the tensors that the module needs. With `item`, takes what
/// is below that name: `load_state_dict(*model, "runs/digits/latest", {}, "model")`. Throws as
/// `load` does, and as above. If reading fails midway, throws Error(io) or Error(corrupt), and the
/// module must not be used.
TORCH_CHECKPOINT_API RestoreReport load_state_dict(torch::nn::Module& module,
                                                   const std::string& path,
                                                   const RestoreOptions& options = {},
                                                   const std::string& item = {});

/// Returns an optimizer's state in the form of Python's `optimizer.state_dict()`: {"state": {0:
/// {…}}, "param_groups": [{…, "params": [0, 1]}]}, for `optimizer.load_state_dict(…)` there.
/// Parameters are known by their position only: both programs must give them in the same order. The
/// tensors share the live ones' memory. Works for SGD, Adam, AdamW, RMSprop and Adagrad, and for
/// classes that save as these do. Throws Error(unsupported) for any other.
TORCH_CHECKPOINT_API Value optimizer_state_dict(const torch::optim::Optimizer& optimizer);

/// Loads what Python's `optimizer.state_dict()` returned into an optimizer of the same class over
/// the same parameters. Its options become the saved ones. Throws Error(incompatible) with
/// everything that does not match. An option that LibTorch does not have and that changes the steps
/// (maximize) counts too. Then nothing has changed.
TORCH_CHECKPOINT_API RestoreReport load_optimizer_state_dict(torch::optim::Optimizer& optimizer,
                                                             const Value& state_dict);

}  // namespace checkpoint
