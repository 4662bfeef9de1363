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
  std::vector<ListedTensor> tensors;  ///< In the order of the tree.
  size_t values = 0;                  ///< How many other values there are.
};

/// Lists what `load` would load. Reads no tensor's bytes. Throws what `load` throws.
TORCH_CHECKPOINT_API Listing list_content(const std::string& path);

/// Reads a directory of PyTorch's Distributed Checkpoint whole, and compares each record with its
/// checksum. Returns how many bytes the index names, with its own. Throws Error: corrupt, with the
/// key; unsupported; io.
TORCH_CHECKPOINT_API uint64_t verify_distributed(const std::string& path);

}  // namespace checkpoint::format
