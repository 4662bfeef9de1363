#pragma once

#include <checkpoint/export.h>
#include <checkpoint/file.h>
#include <checkpoint/restore.h>
#include <checkpoint/value.h>

#include <torch/nn/module.h>
#include <torch/optim/optimizer.h>
#include <torch/optim/schedulers/lr_scheduler.h>

#include <string>

namespace torch::optim {
class ReduceLROnPlateauScheduler;  // LibTorch 1.13 does not have it.
}  // namespace torch::optim

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

/// The layout of a saved optimizer (docs/file-formats.md).
enum class OptimizerForm {
  kLibTorch,         ///< That of LibTorch's `Optimizer::save`.
  kPython,           ///< That of Python's `optimizer.state_dict()`: parameters by index.
  kPythonWithNames,  ///< As kPython, with "param_names": for PyTorch 2.6 or later.
  kByName,           ///< As kPython, but with names for indices: for distributed checkpoints.
};

/// Returns an optimizer's state in the form of Python's `optimizer.state_dict()`: {"state": {0:
/// {…}}, "param_groups": [{…, "params": [0, 1]}]}, for `optimizer.load_state_dict(…)` there.
/// Parameters are known by their position only: both programs must give them in the same order. The
/// tensors share the live ones' memory. Works for SGD, Adam, AdamW, RMSprop, Adagrad and LBFGS, and
/// for classes that save as these do. Throws Error(unsupported) for any other, and for an LBFGS
/// over complex parameters.
TORCH_CHECKPOINT_API Value optimizer_state_dict(const torch::optim::Optimizer& optimizer);
/// Does the same in any form. The parameters get their names in `module`. Throws
/// Error(incompatible) if the form has names, and `module` lacks a parameter.
TORCH_CHECKPOINT_API Value optimizer_state_dict(const torch::optim::Optimizer& optimizer,
                                                const torch::nn::Module& module,
                                                OptimizerForm form);

/// Loads what Python's `optimizer.state_dict()` returned into an optimizer of the same class over
/// the same parameters. Its options become the saved ones. The keys of parameters may be indices,
/// or texts of digits. Throws Error(incompatible) with everything that does not match. An option
/// that LibTorch does not have and that changes the steps (maximize) counts too. Then nothing has
/// changed.
TORCH_CHECKPOINT_API RestoreReport load_optimizer_state_dict(torch::optim::Optimizer& optimizer,
                                                             const Value& state_dict);
/// Does the same. If the saved state has the parameters' names, matches them with the names in
/// `module`, so that the order may differ.
TORCH_CHECKPOINT_API RestoreReport load_optimizer_state_dict(torch::optim::Optimizer& optimizer,
                                                             const Value& state_dict,
                                                             const torch::nn::Module& module);

/// Returns the state of a StepLR in the form of Python's `scheduler.state_dict()`. `optimizer` is
/// the scheduler's. Python's load does not set the optimizer's learning rate: load the optimizer's
/// state there too. Throws Error(unsupported) for another class.
TORCH_CHECKPOINT_API Value scheduler_state_dict(torch::optim::LRScheduler& scheduler,
                                                const torch::optim::Optimizer& optimizer);
/// Does the same for a ReduceLROnPlateauScheduler. LibTorch 1.13 does not have it.
TORCH_CHECKPOINT_API Value scheduler_state_dict(torch::optim::ReduceLROnPlateauScheduler& scheduler,
                                                const torch::optim::Optimizer& optimizer);
/// Loads what Python's StepLR.state_dict() returned. Step size and gamma cannot be set in LibTorch:
/// they must be equal. Throws Error(incompatible) with everything that does not match; then nothing
/// has changed. The learning rate comes with the optimizer's state.
TORCH_CHECKPOINT_API RestoreReport load_scheduler_state_dict(torch::optim::LRScheduler& scheduler,
                                                             const Value& state_dict);
/// Does the same for Python's ReduceLROnPlateau. The modes max and abs together are refused,
/// because LibTorch computes them differently.
TORCH_CHECKPOINT_API RestoreReport load_scheduler_state_dict(
    torch::optim::ReduceLROnPlateauScheduler& scheduler, const Value& state_dict);

/// Returns a tree in which the saved optimizers and schedulers have another form, without the live
/// objects. The tree is what `load` returned for a checkpoint or a file. `checkpoint` is the
/// checkpoint's directory: it gives the classes, and the names of the parameters. Without it,
/// optimizers are recognised by their options, and Adam and AdamW get the same form. What is not
/// one of LibTorch's optimizers or schedulers stays as it is. Throws Error(incompatible), with the
/// place, for what the form cannot hold. Throws what `load` throws if `checkpoint` cannot be read.
TORCH_CHECKPOINT_API Value with_optimizer_form(const Value& tree, OptimizerForm form,
                                               const std::string& checkpoint = {});

}  // namespace checkpoint
