#pragma once

#include "format/decode/decoded.h"
#include "store/io/byte_source.h"
#include "store/records/tensor_table.h"

#include <checkpoint/manifest.h>
#include <checkpoint/restore.h>
#include <checkpoint/state.h>

namespace checkpoint::state {

/// Restores a State from a decoded archive: plans, and if all fits, carries it out. Throws
/// Error(incompatible) with everything that does not fit; nothing has changed then. If `unchecked`
/// is given, the file is compared with it while it is read. Throws HalfRestored (restore_plan.h) if
/// that or reading itself fails.
RestoreReport restore(State& state, const Manifest& manifest, const store::TensorTable& table,
                      const store::ByteSource& file, const format::DecodedArchive& archive,
                      const RestoreOptions& options, const FileEntry* unchecked = nullptr);

}  // namespace checkpoint::state
