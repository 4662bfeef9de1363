#pragma once

#include "format/archive_reader.h"
#include "store/byte_source.h"
#include "store/tensor_table.h"

#include <checkpoint/manifest.h>
#include <checkpoint/restore.h>
#include <checkpoint/state.h>

namespace checkpoint::state {

/// Restores a State from a decoded archive: plans, and if all fits, carries it out. Throws
/// Error(incompatible) with everything that does not fit; nothing has changed then.
RestoreReport restore(State& state, const Manifest& manifest, const store::TensorTable& table,
                      const store::ByteSource& file, const format::DecodedArchive& archive,
                      const RestoreOptions& options);

}  // namespace checkpoint::state
