#pragma once

#include <atomic>
#include <thread>

namespace bench {

/// The peak of this process's anonymous resident memory (RssAnon), looked at every half
/// millisecond, beyond what it was at first.
class PeakMemory {
 public:
  PeakMemory();
  ~PeakMemory();
  /// Stops looking.
  double extra_mib();

 private:
  std::atomic<bool> stopping_{false};
  double first_;
  double peak_;
  std::thread thread_;
};

}  // namespace bench
