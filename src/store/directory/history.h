#pragma once

#include "store/directory/directory.h"

#include <checkpoint/progress.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace checkpoint::store {

/// What the history keeps about a checkpoint, also after its removal.
struct HistoryEntry {
  int64_t sequence = 0;
  std::string name;
  std::string parent;
  std::string run_id;
  std::string created;
  Progress progress;
  uint64_t bytes = 0;  ///< The size of all its files.
  /// How long the save took, in seconds. NaN if unknown.
  double seconds = std::numeric_limits<double>::quiet_NaN();
  /// All checkpoints were removed on request after this save, so it is not missing.
  bool given_up = false;
};

/// The removal of one checkpoint by its name.
struct Removal {
  std::string name;
  int64_t sequence = 0;   ///< 0 if unknown.
  bool was_last = false;  ///< True if no checkpoint was left.
};

/// Returns the history entry of a checkpoint, from its manifest.
HistoryEntry history_entry(const Manifest& manifest);

/// Adds a line to the directory's history.jsonl. People and reports read that file; no checkpoint
/// depends on it. It is not synced: a crash of the machine may lose the last lines. The caller must
/// hold the writer lock. Throws Error: locked, no_space, io.
void append_history(const Directory& directory, const HistoryEntry& entry);

/// The same for a removal.
void append_removal(const Directory& directory, const Removal& removal);

/// Returns the highest sequence of the checkpoints that were removed by name. 0 if none were. No
/// later checkpoint may reuse it. Throws Error(io).
int64_t highest_removed(const Directory& directory);

/// Returns the directory's history, oldest first. Skips lines that cannot be read. Empty if the
/// file does not exist. Throws Error(io).
std::vector<HistoryEntry> read_history(const Directory& directory);

}  // namespace checkpoint::store
