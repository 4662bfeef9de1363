#pragma once

#include <checkpoint/export.h>
#include <checkpoint/map_location.h>
#include <checkpoint/restore.h>
#include <checkpoint/value.h>

#include <torch/nn/module.h>
#include <torch/ordered_dict.h>

#include <string>

namespace checkpoint {

/// Dotted name to tensor, in the module's order: "encoder.0.weight". What Python calls a
/// state_dict.
using StateDict = torch::OrderedDict<std::string, at::Tensor>;

/// A module's parameters and buffers by name. The tensors share the live ones' memory, as in
/// Python, and require no gradient: clone what is to outlast the next optimizer step.
CHECKPOINT_API StateDict state_dict(const torch::nn::Module& module);

/// Copies a StateDict's tensors into a module's, in place, on whatever device each is. Throws
/// Error(incompatible) with everything that does not fit if `strict`; nothing has changed then.
/// The options may filter, rename and convert; their keys are those of the dict.
CHECKPOINT_API RestoreReport load_state_dict(torch::nn::Module& module, const StateDict& dict,
                                             Strict strict = Strict::kYes);
CHECKPOINT_API RestoreReport load_state_dict(torch::nn::Module& module, const StateDict& dict,
                                             const RestoreOptions& options);

/// Copies all parameters and buffers of one module into another of the same shape, in place: a
/// target network. Throws Error(incompatible) if they do not fit; nothing has changed then.
CHECKPOINT_API void copy_weights(const torch::nn::Module& from, torch::nn::Module& to);
/// Moves the floating-point parameters and buffers of `average` towards those of `model`:
/// average = decay * average + (1 - decay) * model (an exponential moving average; a soft update of
/// a target network has decay = 1 - tau). Other tensors (counters) are copied. Throws as
/// copy_weights.
CHECKPOINT_API void update_average(torch::nn::Module& average, const torch::nn::Module& model,
                                   double decay);

/// Saves a tree of values, or a StateDict, in one file that appears whole or not at all. The
/// extension says the format: ".pt" is a LibTorch archive, which C++ and `torch.jit.load` open.
/// Missing directories are created, an older file is replaced. Throws Error: no_space, io,
/// unsupported (another extension; a tensor or name that cannot be saved).
CHECKPOINT_API void save(const Value& value, const std::string& path);
CHECKPOINT_API void save(const StateDict& dict, const std::string& path);

/// Reads a LibTorch archive (of `save`, of a CheckpointManager, of plain torch::save) as a tree of
/// values in new memory. Runs no code, whatever the file holds. `path` may be a checkpoint's
/// directory: then its digests are verified. Tensors go to the device they were saved from, or
/// where `map_location` says, whose keys are those of the file. Throws Error: not_found, corrupt,
/// unsupported, incompatible (a CUDA file where there is no CUDA: pass torch::kCPU), io.
CHECKPOINT_API Value load(const std::string& path, const MapLocation& map_location = {});

/// The tensors of such a file by dotted names, other values left out. With `item`, only those below
/// that name, which is cut off: `load_weights("runs/digits/latest", torch::kCPU, "model")`.
/// Throws as `load`, and Error(not_found) if there is no such item.
CHECKPOINT_API StateDict load_weights(const std::string& path, const MapLocation& map_location = {},
                                      const std::string& item = {});

}  // namespace checkpoint
