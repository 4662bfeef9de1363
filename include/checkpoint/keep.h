#pragma once

#include <checkpoint/export.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace checkpoint {

struct Manifest;

/// Which way a metric gets better.
enum class Mode {
  kMin,  ///< Lower is better: a loss.
  kMax,  ///< Higher is better: an accuracy.
};

/// Keeps the best `count` checkpoints by one metric.
struct BestRule {
  int64_t count = 1;
  std::string metric = "loss";  ///< "loss" is Progress::loss, other names are Progress::metrics.
  Mode mode = Mode::kMin;
};

/// What a directory of checkpoints is to keep: the union of all that is set here. The newest
/// checkpoint, pinned ones, the one that the run was resumed from, and damaged ones stay in any
/// case. Nothing set: everything stays.
struct KeepRules {
  using Predicate = std::function<bool(const Manifest&)>;

  int64_t last = 0;            ///< The newest so many; 0: no such rule.
  std::vector<BestRule> best;  ///< The best by each of these.
  int64_t every_n_epochs = 0;  ///< One for each n finished epochs; 0: no such rule.
  int64_t every_n_steps = 0;   ///< One for each n steps; 0: no such rule.
  /// One for each such time between saves; 0: no such rule.
  std::chrono::duration<double> every = std::chrono::duration<double>::zero();
  std::vector<Predicate> predicates;  ///< Those that any of these wants.

  bool empty() const {
    return last == 0 && best.empty() && every_n_epochs == 0 && every_n_steps == 0 &&
           every == every.zero() && predicates.empty();
  }
};

/// Whether a call only says what it would do.
enum class DryRun { kNo, kYes };

/// What `prune` removes, and why the others stay. Both in the order of saving.
struct TORCH_CHECKPOINT_API PruneReport {
  struct Kept {
    std::string name;
    std::vector<std::string> reasons;  ///< One at least: "pinned", "keep_last(3)", …
  };
  std::vector<std::string> removed;  ///< What went; with DryRun::kYes, what would go.
  uint64_t removed_bytes = 0;        ///< The size of these together.
  std::vector<Kept> kept;

  /// One line for each checkpoint.
  std::string to_string() const;
};

}  // namespace checkpoint
