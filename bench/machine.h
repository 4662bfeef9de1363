#pragma once

#include <string>
#include <utility>
#include <vector>

namespace bench {

/// One value measured on this machine.
struct Measure {
  std::string name;
  double value;
  std::string unit;
};

/// What this machine is: without it, no time of another machine can be compared.
struct Machine {
  std::vector<std::pair<std::string, std::string>> facts;  ///< Kernel, cores, file system, …
  std::vector<Measure> measures;                           ///< Memory, page cache and disk.
};

/// Measures this machine, and the disk that `folder` is on. Takes 10 to 40 s, 2 GB of memory at
/// most, and 4 GB of the disk at most, which it frees again.
Machine check_machine(const std::string& folder);

/// Prints it for a human.
void print(const Machine& machine);

}  // namespace bench
