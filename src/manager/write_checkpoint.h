#pragma once

#include "state/snapshot/capture.h"
#include "store/directory/directory.h"

#include <checkpoint/format.h>
#include <checkpoint/manifest.h>
#include <checkpoint/transfer.h>

namespace checkpoint::manager {

/// Encodes what was captured and commits it as one checkpoint. `manifest` has everything except the
/// files and the seconds that writing takes, which are filled in. The tree's tensors must be CPU
/// tensors that do not change during the call. The caller holds the writer lock. Returns the
/// manifest. It also has the seconds of the commit, which the one on disk does not have. Throws
/// Error: no_space, io, unsupported; the directory is then as it was (transaction.h).
Manifest write_checkpoint(const store::Directory& directory, const state::Capture& captured,
                          Manifest manifest, Format format, const OnTransfer& on_transfer);

}  // namespace checkpoint::manager
