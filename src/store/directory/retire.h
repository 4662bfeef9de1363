#pragma once

#include "store/directory/directory.h"
#include "store/directory/writer_hold.h"

#include <optional>
#include <string>

namespace checkpoint::store {

/// Why a checkpoint cannot be removed: it has no marker of ours, or holds somebody's
/// files beside ours. Empty if it can. Throws Error(io).
std::string obstacle_to_retiring(const Directory& directory, const std::string& name);

/// Removes a checkpoint, in the steps that retire.cpp begins with; returns whether it was removed.
/// One that is pinned, or is not all ours, stays. The caller holds the writer lock.
/// Throws Error: locked if the directory is no longer the one that is held, io.
bool retire(const Directory& directory, const std::string& name);

/// Undoes a removal that has begun and is not decided. Returns whether there was one. Thread-safe,
/// in any process. Throws Error(io).
bool put_back(const Directory& directory, const std::string& name);
/// The same for all that are pinned: what a writer left that died at that very moment. Failures are
/// logged.
void put_back_pinned(const Directory& directory) noexcept;

/// What every writer begins with: takes the lock, ties the directory's changes to `hold`, which
/// must outlive it, and puts back what is pinned. Throws what WriterHold throws.
void begin_writing(Directory& directory, TakeLock lock, std::optional<WriterHold>& hold);

/// Removes what dead writers left: hidden staging and retired directories with our marker; puts
/// back what is pinned. The caller holds the writer lock, so that no other writer is alive.
/// Throws Error(io).
void sweep(const Directory& directory);

/// Removes the files of a checkpoint from a directory, the marker last, and the directory, which
/// must hold nothing else. Throws Error(io).
void remove_checkpoint_files(FileSystem& fs, const std::string& path);

}  // namespace checkpoint::store
