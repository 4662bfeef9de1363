#pragma once

#include "command.h"

#include <cstdint>
#include <string>
#include <vector>

namespace checkpoint::cli {

/// What verify found at one path.
struct Verified {
  std::string path;
  uint64_t bytes = 0;
  std::string error;  ///< Empty if all is whole.
  ExitCode code = kAllWell;
};

/// Prints it as one line.
void print(const Verified& verified);
/// Prints all of them as JSON.
void print_as_json(const std::vector<Verified>& all);
/// The exit status for all of them. The caller has asked for damage, so damage is more important
/// than a path that cannot be read.
ExitCode worst_of(const std::vector<Verified>& all);

}  // namespace checkpoint::cli
