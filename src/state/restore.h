#pragma once

#include "format/decode/decoded.h"
#include "store/directory/verify.h"
#include "store/records/tensor_table.h"

#include <checkpoint/manifest.h>
#include <checkpoint/restore.h>
#include <checkpoint/state.h>

#include <functional>
#include <string>
#include <vector>

namespace checkpoint::state {

/// What matters only with several ranks.
struct Together {
  /// Live items that each rank has for itself, and that this rank did not save. They keep what they
  /// hold.
  std::vector<std::string> absent;
  /// Called when everything fits and nothing has changed yet. If it throws, nothing changes.
  std::function<void()> before_writing;
};

/// Restores a State from a decoded archive: plans first, and runs the plan if everything fits.
/// `archive` is what `files` hold; there is at least one file. A file whose digest has not been
/// checked is checked while it is read. Throws Error(incompatible) with everything that does not
/// fit, before anything changes. Throws HalfRestored (restore_plan.h) if a digest differs or
/// reading fails.
RestoreReport restore(State& state, const Manifest& manifest, const store::TensorTable& table,
                      const std::vector<store::ContentFile>& files, format::DecodedArchive& archive,
                      const RestoreOptions& options, const Together& together = {});

}  // namespace checkpoint::state
