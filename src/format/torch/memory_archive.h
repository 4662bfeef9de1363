#pragma once

#include <checkpoint/value.h>

#include <torch/serialize/archive.h>

#include <string>

// LibTorch's archives without a file. What a user's own `save` has written becomes a tree, and a
// tree becomes what a user's own `load` reads. Inside, both archives are a torch::jit::Module in
// memory, which is read and made here. So tensors are not copied, and TorchScript is never written,
// compiled or run.

namespace checkpoint::format {

/// Returns a module's attributes as a tree, with submodules nested and the same tensors. Throws
/// Error(unsupported), naming an attribute that a tree cannot hold.
Dict from_script_module(const torch::jit::Module& module, const std::string& path);

/// Returns the module that an archive consists of.
const torch::jit::Module& module_of(const torch::serialize::OutputArchive& archive);

/// Returns an archive that consists of this module.
torch::serialize::OutputArchive archive_of(torch::jit::Module module);

/// Returns what was written into an archive; the tensors are the live ones that it holds.
Dict from_archive(const torch::serialize::OutputArchive& archive, const std::string& path);

/// Returns an archive that reads like one loaded from a file. Its tensors are those of `tree`, and
/// loading lets live tensors share their memory, as LibTorch's own archives do. Throws
/// Error(corrupt) for a tree that from_archive cannot have made.
torch::serialize::InputArchive to_archive(const Dict& tree, const std::string& path);

}  // namespace checkpoint::format
