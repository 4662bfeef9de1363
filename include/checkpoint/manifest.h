#pragma once

#include <checkpoint/export.h>
#include <checkpoint/keep.h>
#include <checkpoint/progress.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace checkpoint {

/// One file of a checkpoint, as it must be found.
struct FileEntry {
  std::string name;    ///< Inside the checkpoint's directory; no folder part.
  uint64_t bytes = 0;  ///< Its size.
  std::string
      xxh3_128;  ///< Its digest, 32 lower-case hexadecimal digits (docs/checkpoint-layout.md).
};

/// One item of a State, as it was saved.
struct ItemEntry {
  std::string name;  ///< The name given to `State::add`.
  /// "module", "optimizer", "scheduler", "script", "value", "object" (that has a state_dict of its
  /// own), "archive" (that saves itself) or "rng".
  std::string kind;
  /// The class of an optimizer, scheduler or archive ("Adam", "StepLR"), a value's kind ("double");
  /// else empty.
  std::string type;
  std::vector<int64_t> group_sizes;  ///< An optimizer's parameter groups: how many parameters each.
};

/// What a checkpoint is, and how to know that it is whole (manifest.json;
/// docs/checkpoint-layout.md). A plain value: copy it as you like.
struct Manifest {
  int64_t format_version = 1;
  std::string name;              ///< The checkpoint's name: its directory's, also after a rename.
  int64_t sequence = 0;          ///< Order of saving in this directory; the newest is the highest.
  std::string parent;            ///< The checkpoint that this run was resumed from; or empty.
  std::string created;           ///< UTC, "2026-11-23T15:02:11Z".
  std::string run_id;            ///< One for each manager's life, random.
  std::string libtorch_version;  ///< LibTorch that wrote it, "1.13.0".
  std::string library_version;   ///< TorchCheckpoint that wrote it.
  Progress progress;
  std::vector<FileEntry> files;
  std::vector<ItemEntry> items;
  /// The rules of retention of the manager that wrote it, without keep_if. Empty in older
  /// checkpoints.
  KeepRules keep;
  /// What saving it took, in seconds, step by step: "capture", "snapshot", "archive", "table".
  /// Empty in older checkpoints.
  std::map<std::string, double> seconds;

  /// The size of all files together, without the manifest's own.
  uint64_t total_bytes() const {
    uint64_t sum = 0;
    for (const FileEntry& file : files) sum += file.bytes;
    return sum;
  }
};

}  // namespace checkpoint
