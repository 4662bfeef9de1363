#pragma once

#include "report.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace bench {

/// What several ranks cost. Must run before LibTorch has started threads: it forks.
struct RankOptions {
  int ranks;
  size_t bytes;     ///< Of the whole state.
  int64_t tensors;  ///< How many parameters it has.
  int64_t rounds;
  std::string root;  ///< A folder for the checkpoints.
};

/// Compares one save of all ranks, each a process, with that of one process that writes all.
void measure_ranks(const RankOptions& options, Report& report);

/// Measures what a save of a state without tensors costs, with 1 rank, 4, 16, … up to `most`, each
/// a thread. `root` is a folder for the checkpoints.
void measure_empty_saves(int64_t most, int64_t rounds, const std::string& root, Report& report);

}  // namespace bench
