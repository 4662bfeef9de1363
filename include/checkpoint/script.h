#pragma once

#include <checkpoint/export.h>

#include <c10/core/Device.h>
#include <torch/csrc/jit/api/module.h>

#include <optional>
#include <string>

namespace checkpoint {

/// Saves a TorchScript module whole, code included, as `module.save(path)` does, so that LibTorch
/// and Python's torch.jit.load open it too. The file appears under its name when every byte is on
/// disk, in place of an older one, with its permissions; if anything fails, the older one is as it
/// was. A write-protected one is refused. Missing directories are made.
///
/// Throws Error: no_space, io, unsupported (LibTorch cannot save
/// this module). Never ends the process. The module must not change meanwhile.
TORCH_CHECKPOINT_API void save_script(const torch::jit::Module& module, const std::string& path);

/// Loads a TorchScript module whole. **This runs code from the file**: TorchScript in it is
/// compiled, its `__setstate__` methods are called at once, and `forward` whenever you call it.
/// Load only files that you trust as you trust a program. No other function of this library runs
/// anything that a file holds: for the tensors alone, add the live module to a State instead.
///
/// The tensors go to `device`, or else where they were saved from. LibTorch checks no digest: a
/// damaged file may load with wrong values. Throws Error: not_found, io, incompatible (LibTorch
/// cannot load it).
TORCH_CHECKPOINT_API torch::jit::Module load_script(
    const std::string& path, std::optional<c10::Device> device = std::nullopt);

}  // namespace checkpoint
