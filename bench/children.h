#pragma once

#include "options.h"

#include <string>
#include <vector>

namespace bench {

/// Runs this program again to measure `child` with `input`, in a fresh process. Returns the seconds
/// that it prints: of the first time, and of those after it. Throws std::runtime_error if it fails.
std::vector<double> measure_in_child(const Options& options, const std::string& child,
                                     const std::string& input);

/// What the fresh process does: measures `options.child`, and prints seconds.
void run_child(const Options& options);

}  // namespace bench
