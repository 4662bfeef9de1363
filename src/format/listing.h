#pragma once

#include <checkpoint/export.h>

#include <cstdint>
#include <string>
#include <vector>

// What the command shows and verifies of files that this library's manager did not write.

namespace checkpoint::format {

/// One tensor of a file.
struct ListedTensor {
  std::string key;    ///< Dotted.
  std::string dtype;  ///< As Python spells it: "float32".
  std::vector<int64_t> shape;
  std::string device;  ///< That it was saved from.
  uint64_t bytes;      ///< Of its elements.
  size_t parts;        ///< In how many it lies in the file or files.
};

/// What a path holds.
struct Listing {
  std::string format;                 ///< "distributed", "sharded", "file" or "checkpoint".
  std::vector<ListedTensor> tensors;  ///< In the order of the tree.
  size_t values = 0;                  ///< How many other values there are.
};

/// Lists what `load` would load. Reads no tensor's bytes. Throws what `load` throws.
TORCH_CHECKPOINT_API Listing list_content(const std::string& path);

/// Reads a directory of PyTorch's Distributed Checkpoint, or a model in several files, whole.
/// Checks all that `load` checks, and compares each record of a zip archive with its checksum.
/// safetensors files have none. Returns how many bytes were read: of a distributed checkpoint those
/// that the index names, with its own. Throws Error: corrupt, with the key or file; not_found;
/// unsupported; io.
TORCH_CHECKPOINT_API uint64_t verify_content(const std::string& path);

}  // namespace checkpoint::format
