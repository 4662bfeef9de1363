#pragma once

#include <checkpoint/export.h>
#include <checkpoint/manifest.h>
#include <checkpoint/map_location.h>

#include <string>
#include <utility>
#include <vector>

namespace checkpoint {

/// How a restore is to be done. Chained, as LibTorch's own options are.
class CHECKPOINT_API RestoreOptions {
 public:
  /// Where the tensors go. Default: where the live tensors are.
  RestoreOptions& map_location(MapLocation value) {
    map_location_ = std::move(value);
    return *this;
  }
  const MapLocation& map_location() const { return map_location_; }

 private:
  MapLocation map_location_;
};

/// What a restore found that does not fit. Keys are dotted: "model.conv.weight".
struct CHECKPOINT_API RestoreReport {
  std::vector<std::string> missing;     ///< Live, but not in the file.
  std::vector<std::string> unexpected;  ///< In the file, but not live.
  std::vector<std::string> mismatched;  ///< In both, with another dtype, shape or kind; says which.
  std::vector<std::string> ignored_items;  ///< Items of the file that the State does not name.

  /// Whether every live entry has its counterpart and none is left over; ignored items are no
  /// fault.
  bool fits() const { return missing.empty() && unexpected.empty() && mismatched.empty(); }
  /// The report as people read it, one entry a line; empty if everything fits.
  std::string to_string() const;
};

/// A damaged checkpoint that `restore_latest` went past.
struct PassedOver {
  std::string name;    ///< Its name, after it was set aside if it was.
  std::string reason;  ///< What is wrong with it.
};

/// What a restore brought back.
struct Restored {
  Manifest manifest;
  Progress progress;  ///< The manifest's progress.
  RestoreReport report;
  std::vector<PassedOver> passed_over;  ///< Newest first.
};

}  // namespace checkpoint
