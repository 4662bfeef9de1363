#pragma once

#include "format/decode/decoded.h"
#include "store/directory/verify.h"
#include "store/records/tensor_table.h"

#include <checkpoint/manifest.h>
#include <checkpoint/restore.h>
#include <checkpoint/state.h>

#include <vector>

namespace checkpoint::state {

/// Restores a State from a decoded archive: plans, and if all fits, carries it out. Throws
/// Error(incompatible) with everything that does not fit; nothing has changed then. Files whose
/// digest has not been checked are checked while they are read. Throws HalfRestored
/// (restore_plan.h) if that or reading itself fails. `archive` is what the files hold; one at
/// least.
RestoreReport restore(State& state, const Manifest& manifest, const store::TensorTable& table,
                      const std::vector<store::ContentFile>& files,
                      const format::DecodedArchive& archive, const RestoreOptions& options);

}  // namespace checkpoint::state
