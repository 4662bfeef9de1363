#pragma once

#include <checkpoint/value.h>

#include <torch/serialize/archive.h>

#include <string>

// LibTorch's archives without a file: what a user's own `save` has filled, as a tree, and a tree as
// what a user's own `load` reads. Both archives are a torch::jit::Module inside, in memory, and
// that is what is read and made here. So no tensor is copied, and no TorchScript is written,
// compiled or run: neither what stands in a file, nor our own.

namespace checkpoint::format {

/// A module's attributes as a tree, submodules nested; its tensors are the same ones. Throws
/// Error(unsupported) naming an attribute that a tree cannot hold.
Dict from_script_module(const torch::jit::Module& module, const std::string& path);

/// What has been written into an archive; its tensors are the live ones that it holds.
Dict from_archive(const torch::serialize::OutputArchive& archive, const std::string& path);

/// An archive that reads as one would that was loaded from a file; its tensors are those of `tree`,
/// and loading lets live tensors share their memory, as LibTorch's own archives do. Throws
/// Error(corrupt) for a tree that from_archive does not make.
torch::serialize::InputArchive to_archive(const Dict& tree, const std::string& path);

}  // namespace checkpoint::format
