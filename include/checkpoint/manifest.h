#pragma once

#include <checkpoint/export.h>
#include <checkpoint/keep.h>
#include <checkpoint/progress.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace checkpoint {

/// One file of a checkpoint, as the manifest describes it.
struct FileEntry {
  std::string name;    ///< Its name in the checkpoint's directory, without a folder part.
  uint64_t bytes = 0;  ///< Its size, in bytes.
  /// Its digest, 32 lower-case hexadecimal digits (docs/checkpoint-layout.md).
  std::string xxh3_128;
};

/// One item of a State, as it was saved.
struct ItemEntry {
  std::string name;  ///< The name given to `State::add`.
  /// "module", "optimizer", "scheduler", "script", "value", "object" (with a state_dict of its
  /// own), "archive" (with a save of its own) or "rng".
  std::string kind;
  /// The class of an optimizer, scheduler or archive ("Adam", "StepLR"), or a value's kind
  /// ("double"). Otherwise empty.
  std::string type;
  std::vector<int64_t> group_sizes;  ///< Of an optimizer: the number of parameters of each group.
  /// The ranks that have saved one each of their own (PerRank). Empty if all ranks share one.
  std::vector<int64_t> ranks = {};
};

/// The content of manifest.json (docs/checkpoint-layout.md): what a checkpoint holds, and the sizes
/// and digests that show whether it is intact. A plain value.
struct Manifest {
  int64_t format_version = 1;    ///< The version of the layout on disk.
  std::string name;              ///< The checkpoint's name: its directory's, also after a rename.
  int64_t sequence = 0;          ///< Its place in the order of saving: the newest has the highest.
  std::string parent;            ///< The checkpoint that its run resumed from, or empty.
  std::string created;           ///< When, in UTC: "2026-11-23T15:02:11Z".
  std::string run_id;            ///< Random, one for each manager.
  std::string libtorch_version;  ///< The LibTorch that wrote it: "1.13.0".
  std::string library_version;   ///< The TorchCheckpoint that wrote it.
  Progress progress;             ///< What training had reached.
  int64_t world_size = 1;        ///< How many ranks wrote it together.
  std::vector<FileEntry> files;  ///< Its files, without the manifest.
  /// How many bytes of these files its own save has written. The rest are files of earlier
  /// checkpoints (`CheckpointManagerOptions::reuse_unchanged`).
  uint64_t bytes_written = 0;
  std::vector<ItemEntry> items;  ///< The items of its State.
  /// The retention rules of the manager that wrote it, without keep_if. Empty in older checkpoints.
  KeepRules keep;
  /// How long each step of the save took, in seconds: "capture", "snapshot", "archive", "table".
  /// Empty in older checkpoints.
  std::map<std::string, double> seconds;

  /// Returns the size of all files together, in bytes, without the manifest itself.
  uint64_t total_bytes() const {
    uint64_t sum = 0;
    for (const FileEntry& file : files) sum += file.bytes;
    return sum;
  }
};

}  // namespace checkpoint
