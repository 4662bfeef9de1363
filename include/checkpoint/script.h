#pragma once

#include <checkpoint/export.h>

#include <c10/core/Device.h>
#include <torch/csrc/jit/api/module.h>

#include <optional>
#include <string>

namespace checkpoint {

/// Saves a TorchScript module with its code, as `module.save(path)` does. LibTorch and Python's
/// torch.jit.load open the file. The file appears under its name once every byte is on disk. It
/// replaces an older one and takes its permissions. If anything fails, the older one stays as it
/// was. A write-protected one is refused. Missing directories are created. The module must not
/// change during the call.
///
/// Throws Error: no_space, io, unsupported (LibTorch cannot save this module). Never ends the
/// process.
TORCH_CHECKPOINT_API void save_script(const torch::jit::Module& module, const std::string& path);

/// Loads a TorchScript module with its code. **This runs code from the file**: its TorchScript is
/// compiled, and its `__setstate__` methods are called at once. Load only files that you trust as
/// you trust a program. No other function of this library runs code from a file. If you need only
/// the tensors, add the live module to a State instead.
///
/// The tensors go to `device`, or to where they were saved from. LibTorch checks no digest: a
/// damaged file may load with wrong values. Throws Error: not_found, io, incompatible (LibTorch
/// cannot load it).
TORCH_CHECKPOINT_API torch::jit::Module load_script(
    const std::string& path, std::optional<c10::Device> device = std::nullopt);

}  // namespace checkpoint
