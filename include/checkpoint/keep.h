#pragma once

#include <checkpoint/export.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace checkpoint {

struct Manifest;

/// Which values of a metric are better.
enum class Mode {
  kMin,  ///< Lower is better: a loss.
  kMax,  ///< Higher is better: an accuracy.
};

/// Keeps the best `count` checkpoints by one metric.
struct BestRule {
  int64_t count = 1;            ///< How many are kept.
  std::string metric = "loss";  ///< "loss" is Progress::loss, other names are Progress::metrics.
  Mode mode = Mode::kMin;       ///< Which values are better.
};

/// Rules for which checkpoints to keep. A checkpoint is kept if any rule selects it. The newest,
/// pinned and damaged checkpoints, and the one this run resumed from, are always kept. With no
/// rules, nothing is removed.
struct KeepRules {
  /// Returns whether a checkpoint is kept.
  using Predicate = std::function<bool(const Manifest&)>;

  int64_t last = 0;            ///< Keep the newest `last` checkpoints. 0: rule not set.
  std::vector<BestRule> best;  ///< Keep the best by each of these.
  int64_t every_n_epochs = 0;  ///< Keep one for each n finished epochs. 0: rule not set.
  int64_t every_n_steps = 0;   ///< Keep one for each n steps. 0: rule not set.
  /// Keep one for each such time between saves. 0: rule not set.
  std::chrono::duration<double> every = std::chrono::duration<double>::zero();
  std::vector<Predicate> predicates;  ///< Keep those that any of these selects.

  /// Returns whether no rule is set.
  bool empty() const {
    return last == 0 && best.empty() && every_n_epochs == 0 && every_n_steps == 0 &&
           every == every.zero() && predicates.empty();
  }
};

/// Whether a call only reports what it would do.
enum class DryRun {
  kNo,   ///< Do it.
  kYes,  ///< Only report it.
};

/// What `prune` removes, and why it keeps the others. Both lists are in the order of saving.
struct TORCH_CHECKPOINT_API PruneReport {
  /// A checkpoint that is kept.
  struct Kept {
    std::string name;                  ///< Its name.
    std::vector<std::string> reasons;  ///< At least one: "pinned", "keep_last(3)", …
  };
  std::vector<std::string> removed;  ///< The removed ones; with DryRun::kYes, those to remove.
  uint64_t removed_bytes = 0;        ///< Their total size, in bytes.
  std::vector<Kept> kept;            ///< All others.

  /// Returns one line for each checkpoint.
  std::string to_string() const;
};

}  // namespace checkpoint
