#pragma once

#include "store/directory/directory.h"
#include "store/retention/keep_rules.h"

#include <checkpoint/keep.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

namespace checkpoint::store {

/// What was found, and why each checkpoint stays. A checkpoint without a reason is removed.
struct Decision {
  std::vector<FoundCheckpoint> found;
  std::set<std::string> pins;                 ///< All names in the directory of pins.
  std::vector<Reasons> reasons;               ///< In the order of `found`.
  std::vector<std::string> unranked_metrics;  ///< Metrics of a keep_best that no checkpoint has.

  /// False if nothing was removed because no checkpoint that stays could be read back.
  bool is_safe = true;

  PruneReport report() const;
};

/// Removes the checkpoints that no rule keeps.
class Retention {
 public:
  Retention(KeepRules rules, bool verify_before_retire)
      : rules_(std::move(rules)), verify_before_retire_(verify_before_retire) {}

  /// Decides what would be removed: reads the manifests and pins, and changes nothing.
  /// `resumed_from` is the name of the checkpoint that the caller's run was resumed from, or empty.
  /// Thread-safe. Throws Error(io), and what a predicate throws.
  Decision decide(const Directory& directory, const std::string& resumed_from) const {
    return decide(directory, directory.scan(), resumed_from);
  }
  /// The same for the result of a scan of the directory.
  Decision decide(const Directory& directory, std::vector<FoundCheckpoint> found,
                  const std::string& resumed_from) const;

  /// Removes the checkpoints that no rule keeps, and returns the decision with its outcome. Before
  /// that, reads the newest checkpoint that stays back from the disk, unless this object has read
  /// back one of them earlier. If that fails, logs it and removes nothing. Logs a warning, once for
  /// each metric of a keep_best that no checkpoint has. The caller must hold the writer lock. Not
  /// thread-safe. Throws Error: locked, io, and what a predicate throws.
  Decision apply(const Directory& directory, const std::string& resumed_from) {
    return apply(directory, directory.scan(), resumed_from);
  }
  /// The same for the result of a scan of the directory.
  Decision apply(const Directory& directory, std::vector<FoundCheckpoint> found,
                 const std::string& resumed_from);

 private:
  void warn_once_of_unranked(const Directory& directory, const Decision& decision);
  bool stays_safe(const Directory& directory, const Decision& decision);
  bool reads_back(const Directory& directory, const std::string& name);

  const KeepRules rules_;
  const bool verify_before_retire_;
  std::set<std::string> read_back_;  // Names of checkpoints that were found whole on the disk.
  std::set<std::string> warned_of_;  // Metrics.
};

}  // namespace checkpoint::store
