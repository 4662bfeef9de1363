#pragma once

#include "format/torch/archive_plan.h"
#include "group/group.h"
#include "manager/last_checkpoint.h"
#include "state/share/share.h"
#include "store/directory/directory.h"
#include "store/io/chunk_pool.h"

#include <checkpoint/format.h>
#include <checkpoint/manifest.h>
#include <checkpoint/transfer.h>

namespace checkpoint::manager {

/// How a checkpoint is written. All must outlive the call.
struct WriteOptions {
  Format format;
  const OnTransfer& on_transfer;
  store::ChunkPool& pool;
  format::ArchivePlan& plan;
  /// If not null, has what need not be written again (reuse_unchanged), and becomes this
  /// checkpoint. The process must be alone then. Files that cannot be linked are written.
  LastCheckpoint* last = nullptr;
};

/// Encodes a rank's share of a checkpoint, and commits it as one checkpoint together with the other
/// ranks. `manifest` has everything except the items, the files and the seconds that writing takes,
/// which are filled in. The tree's tensors must be CPU tensors that do not change during the call.
/// Rank 0 holds the writer lock. Returns the manifest; on other ranks it has only the name. It also
/// has the seconds of the commit, which the one on disk does not have.
///
/// Throws Error: no_space, io, unsupported; the directory is then as it was (transaction.h). Throws
/// timeout if another rank does not come, and the error of another rank that fails.
Manifest write_checkpoint(const store::Directory& directory, group::Meeting& meeting,
                          const state::Share& share, Manifest manifest,
                          const WriteOptions& options);

}  // namespace checkpoint::manager
