#pragma once

#include "state/snapshot/capture.h"
#include "store/directory/directory.h"

#include <checkpoint/format.h>
#include <checkpoint/manifest.h>
#include <checkpoint/transfer.h>

namespace checkpoint::manager {

/// Encodes what was captured in the format and commits it as one checkpoint. `manifest` says all
/// but the files, which are filled in, as are the seconds that writing took. The tree's tensors
/// must be CPU tensors that do not change during the call. The caller holds the writer lock. Throws
/// Error: no_space, io, unsupported; then the directory is as it was (transaction.h). Returns the
/// manifest, and in it what the commit took, which the one on the disk cannot know.
Manifest write_checkpoint(const store::Directory& directory, const state::Capture& captured,
                          Manifest manifest, Format format, const OnTransfer& on_transfer);

}  // namespace checkpoint::manager
