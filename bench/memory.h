#pragma once

#include <atomic>
#include <thread>

namespace bench {

/// The peak of this process's anonymous resident memory (RssAnon) above its value at construction.
/// Reads it every half millisecond.
class PeakMemory {
 public:
  PeakMemory();
  ~PeakMemory();
  /// Stops measuring, and returns the peak in MiB.
  double extra_mib();

 private:
  std::atomic<bool> stopping_{false};
  double first_;
  double peak_;
  std::thread thread_;
};

}  // namespace bench
