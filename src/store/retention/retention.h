#pragma once

#include "store/directory/directory.h"
#include "store/retention/keep_rules.h"

#include <checkpoint/keep.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

namespace checkpoint::store {

/// What was found, and why each stays; what has no reason goes.
struct Decision {
  std::vector<FoundCheckpoint> found;
  std::set<std::string> pins;                 ///< All names among the pins.
  std::vector<Reasons> reasons;               ///< In the order of `found`.
  std::vector<std::string> unranked_metrics;  ///< Those of a keep_best that no checkpoint has.

  /// False if nothing was removed because none of those that stay could be read back.
  bool is_safe = true;

  PruneReport report() const;
};

/// Removes the checkpoints that no rule keeps.
class Retention {
 public:
  Retention(KeepRules rules, bool verify_before_retire)
      : rules_(std::move(rules)), verify_before_retire_(verify_before_retire) {}

  /// What would go: reads the manifests and pins, and changes nothing. `resumed_from` is the name
  /// of what the caller's run was resumed from, or empty. Thread-safe. Throws Error(io), and what a
  /// predicate throws.
  Decision decide(const Directory& directory, const std::string& resumed_from) const {
    return decide(directory, directory.scan(), resumed_from);
  }
  /// The same of what a scan of the directory has found.
  Decision decide(const Directory& directory, std::vector<FoundCheckpoint> found,
                  const std::string& resumed_from) const;

  /// Removes it, and returns the plan as it came out. If none of those that stay has been read back
  /// from the disk by this object, the newest is read back first; if that fails, nothing is removed
  /// and the log says so. The log also says once of each metric of a keep_best that no checkpoint
  /// has it. The caller holds the writer lock. Not thread-safe. Throws Error(io).
  Decision apply(const Directory& directory, const std::string& resumed_from) {
    return apply(directory, directory.scan(), resumed_from);
  }
  /// The same of what a scan of the directory has found.
  Decision apply(const Directory& directory, std::vector<FoundCheckpoint> found,
                 const std::string& resumed_from);

 private:
  void warn_once_of_unranked(const Directory& directory, const Decision& decision);
  bool stays_safe(const Directory& directory, const Decision& decision);
  bool reads_back(const Directory& directory, const std::string& name);

  const KeepRules rules_;
  const bool verify_before_retire_;
  std::set<std::string> read_back_;  // Names, found whole on the disk.
  std::set<std::string> warned_of_;  // Metrics.
};

}  // namespace checkpoint::store
