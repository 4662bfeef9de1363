#pragma once

#include "store/directory/directory.h"

#include <checkpoint/progress.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace checkpoint::store {

/// What stays known of a checkpoint when it is gone.
struct HistoryEntry {
  int64_t sequence = 0;
  std::string name;
  std::string parent;
  std::string run_id;
  std::string created;
  Progress progress;
  uint64_t bytes = 0;  ///< Of all its files.
  /// What the save took, in seconds; NaN if that is not known.
  double seconds = std::numeric_limits<double>::quiet_NaN();
  /// All checkpoints were removed on request since then: it is not missing.
  bool given_up = false;
};

/// A checkpoint that was removed by its name.
struct Removal {
  std::string name;
  int64_t sequence = 0;   ///< 0: unknown.
  bool was_last = false;  ///< No checkpoint was left.
};

/// A checkpoint's entry, from its manifest.
HistoryEntry history_entry(const Manifest& manifest);

/// Adds a line to the directory's history.jsonl, which people and reports read and on which nothing
/// depends. It is not synced: a crash of the machine may lose the last lines. The caller holds the
/// writer lock. Throws Error: no_space, io.
void append_history(const Directory& directory, const HistoryEntry& entry);

/// The same for a removal.
void append_removal(const Directory& directory, const Removal& removal);

/// The highest sequence of those that were removed by name; 0 if none was. No later checkpoint may
/// have it again. Throws Error(io).
int64_t highest_removed(const Directory& directory);

/// The directory's history, oldest first. Lines that cannot be read (one may be torn) are passed
/// by. Empty if there is none. Throws Error(io).
std::vector<HistoryEntry> read_history(const Directory& directory);

}  // namespace checkpoint::store
