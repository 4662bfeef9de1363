#pragma once

#include <checkpoint/export.h>
#include <checkpoint/manifest.h>
#include <checkpoint/transfer.h>

#include <string>
#include <vector>

namespace checkpoint {

/// A checkpoint, as `CheckpointManager::list` returns it.
struct CheckpointInfo {
  std::string name;     ///< The checkpoint's name, which is its directory's name.
  std::string path;     ///< The path of its directory.
  Manifest manifest;    ///< Empty (sequence 0) if it is damaged.
  std::string damage;   ///< Why its manifest cannot be read. Empty if it can.
  bool pinned = false;  ///< Whether it is pinned.
  /// Why this manager's options keep it: "newest", "keep_best(2, val_accuracy, max): rank 1", …
  /// Empty: the next save removes it.
  std::vector<std::string> reasons;
  /// Metrics that a keep_best of the options needs, but that are missing or NaN here.
  std::vector<std::string> missing_metrics;
};

/// Reads the manifest of the checkpoint in this directory. `path` may also be a link to it, such as
/// "runs/a/best". Reads no tensors. Throws Error: not_found, corrupt, incompatible, io.
TORCH_CHECKPOINT_API Manifest read_manifest(const std::string& path);

/// Reads the whole checkpoint in this directory and checks every digest. Throws Error: not_found,
/// corrupt, incompatible, io. Throws also what `on_transfer` throws.
TORCH_CHECKPOINT_API void verify(const std::string& path, const OnTransfer& on_transfer = {});

}  // namespace checkpoint
