#pragma once

namespace checkpoint {

/// The format of a file. docs/file-formats.md says what each one can hold.
enum class Format {
  kArchive,      ///< ".pt": a LibTorch archive, which C++ and Python's torch.jit.load open.
  kPth,          ///< ".pth": as Python's torch.save writes it, for torch.load with its defaults.
  kSafetensors,  ///< ".safetensors": tensors by name, for any program.
  /// A directory of PyTorch's Distributed Checkpoint, for torch.distributed.checkpoint.load of
  /// PyTorch 2.3 and later. Only SaveOptions::format chooses it.
  kDcp,
};

}  // namespace checkpoint
