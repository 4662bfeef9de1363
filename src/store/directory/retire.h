#pragma once

#include "store/directory/directory.h"
#include "store/directory/writer_hold.h"

#include <optional>
#include <string>

namespace checkpoint::store {

/// Returns why a checkpoint cannot be removed: it has no marker, has files that are not ours, or
/// its name is too long. Empty if it can be removed. Throws Error(io).
std::string obstacle_to_retiring(const Directory& directory, const std::string& name);

/// Removes a checkpoint in the steps at the top of retire.cpp. Returns whether it was removed: a
/// checkpoint that is pinned, or that has files that are not ours, stays. The caller must hold the
/// writer lock. Throws Error: locked if the directory is no longer the one that is held, io.
bool retire(const Directory& directory, const std::string& name);

/// Undoes a removal that has begun but is not decided. Returns whether there was one. Thread-safe,
/// in any process. Throws Error: locked, io.
bool put_back(const Directory& directory, const std::string& name);
/// The same for all pinned checkpoints: a writer may have died during a removal. Logs failures.
void put_back_pinned(const Directory& directory) noexcept;

/// Starts writing, as every writer must: takes the lock, ties the directory's changes to `hold`,
/// and puts back pinned checkpoints. `hold` must outlive `directory`. Throws what WriterHold
/// throws.
void begin_writing(Directory& directory, TakeLock lock, std::optional<WriterHold>& hold);

/// Removes the hidden staging and retired directories that dead writers left. Finishes removals
/// that they began, or undoes them if the checkpoint is pinned. The caller must hold the writer
/// lock, so that no other writer is alive. Throws Error(io). Failures with single directories are
/// logged.
void sweep(const Directory& directory);

/// Removes the files of a checkpoint, the marker last, and then its directory, which must have no
/// other files. Throws Error(io).
void remove_checkpoint_files(FileSystem& fs, const std::string& path);

}  // namespace checkpoint::store
