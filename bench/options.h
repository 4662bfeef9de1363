#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace bench {

/// The command line of checkpoint_bench.
struct Options {
  double size_gb = 1;
  int64_t tensors = 100;
  int64_t rounds = 5;
  std::string dir = ".";
  std::string json;
  bool check = false;             ///< Only what this machine is.
  std::vector<std::string> only;  ///< The groups to measure. Empty: all.
  uint64_t seed = 0;              ///< Of the order of measurements.
  double pause = 0;               ///< Seconds before each measurement of the disk, at first.
  int tries = 3;                  ///< How often a value is measured until its baseline is steady.
  int ranks = 0;                  ///< 0: one process.
  int64_t empty = 0;              ///< The most ranks of an empty save.
  std::string child;              ///< What a fresh process measures.
  std::string input;              ///< The file or directory for it.

  size_t bytes() const { return static_cast<size_t>(size_gb * 1e9); }
  bool wants(const std::string& group) const;
};

/// Reads the command line, and chooses a seed if it names none. If it is wrong or asks for help,
/// prints that and ends the process.
Options parse_options(int argc, char** argv);

}  // namespace bench
