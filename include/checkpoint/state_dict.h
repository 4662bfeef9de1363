#pragma once

#include <checkpoint/export.h>
#include <checkpoint/format.h>
#include <checkpoint/map_location.h>
#include <checkpoint/restore.h>
#include <checkpoint/value.h>

#include <torch/nn/module.h>
#include <torch/optim/optimizer.h>
#include <torch/ordered_dict.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace checkpoint {

/// Dotted name to tensor, in the module's order: "encoder.0.weight". What Python calls a
/// state_dict.
class StateDict : public torch::OrderedDict<std::string, at::Tensor> {
 public:
  using OrderedDict::OrderedDict;
  StateDict() = default;
  StateDict(OrderedDict entries) : OrderedDict(std::move(entries)) {}

  /// The modules that hold nothing (a ReLU), by dotted names. LibTorch's own `load` asks for each
  /// of a module's submodules, so a ".pt" file names these too.
  const std::vector<std::string>& empty_modules() const { return empty_modules_; }
  StateDict& empty_modules(std::vector<std::string> names) {
    empty_modules_ = std::move(names);
    return *this;
  }

 private:
  std::vector<std::string> empty_modules_;
};

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

/// Copies all parameters and buffers of one module into another of the same shape, in place: a
/// target network. Throws Error(incompatible) if they do not fit; nothing has changed then.
TORCH_CHECKPOINT_API void copy_weights(const torch::nn::Module& from, torch::nn::Module& to);
/// Moves the floating-point parameters and buffers of `average` towards those of `model`:
/// average = decay * average + (1 - decay) * model (an exponential moving average; a soft update of
/// a target network has decay = 1 - tau). Other tensors (counters) are copied, whatever their dtype
/// in either. Throws as copy_weights, also where a counter does not fit the average's dtype.
TORCH_CHECKPOINT_API void update_average(torch::nn::Module& average, const torch::nn::Module& model,
                                         double decay);

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

/// Saves a tree of values, or a StateDict, in one file that appears whole or not at all. The
/// extension says the format (Format), unless the options do: ".pt" is a LibTorch archive, which
/// C++ and `torch.jit.load` open (a StateDict is laid out in it as torch::save lays a module out,
/// for `torch::load(module, path)`); ".pth" is for Python's `torch.load`; ".safetensors" is for
/// anybody. Tensors are written as those of the CPU. Missing directories are created. An older file
/// is replaced, and leaves its permissions to the new one, its owner and group too where the system
/// allows that; a write-protected one is refused, also for root. Throws Error: no_space, io,
/// unsupported (another extension; a tensor or name that the format cannot hold:
/// docs/file-formats.md).
TORCH_CHECKPOINT_API void save(const Value& value, const std::string& path,
                               const SaveOptions& options = {});
TORCH_CHECKPOINT_API void save(const StateDict& dict, const std::string& path,
                               const SaveOptions& options = {});

/// Reads a file as a tree of values: a LibTorch archive (of `save`, of plain torch::save, of
/// TorchScript: its weights), a .pth file of Python's torch.save (of any version, also of before
/// 1.6), a safetensors file. What it is, its content says, not its name. Runs no code, whatever the
/// file holds. `path` may be a CheckpointManager's checkpoint: then its digests are verified.
/// Tensors go to the device they were saved from, or where the options' map_location says, whose
/// keys are those of the file. Throws Error: not_found, corrupt, unsupported, incompatible (a CUDA
/// file where there is no CUDA: pass torch::kCPU), io.
TORCH_CHECKPOINT_API Value load(const std::string& path, const LoadOptions& options = {});

/// The tensors of such a file by dotted names (list indices and integer keys as numbers), other
/// values left out. With `item`, only those below that name, which is cut off:
/// `load_weights("runs/digits/latest", torch::kCPU, "model")`. Throws as `load`, and
/// Error(not_found) if there is no such item.
TORCH_CHECKPOINT_API StateDict load_weights(const std::string& path,
                                            const LoadOptions& options = {},
                                            const std::string& item = {});

/// The metadata of a safetensors file, without what this library adds to it; empty for a file of
/// another format. Throws as `load`.
TORCH_CHECKPOINT_API std::map<std::string, std::string> load_metadata(const std::string& path);

}  // namespace checkpoint
