#pragma once

#include <chrono>

namespace checkpoint::base {

/// Measures the time since its construction, and since each lap.
class Stopwatch {
 public:
  /// Returns the seconds since the last call, or since the construction.
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::chrono::duration<double>(now - start_).count();
    start_ = now;
    return seconds;
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace checkpoint::base
