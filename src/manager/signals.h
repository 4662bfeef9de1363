#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace checkpoint::manager {

class SignalWatch;

/// The signals that ask one manager for a save. The handler counts, and ends the process at the
/// second one where that is wished; a handler that was there before is called by it, and put back
/// when the last one that listens is gone. A handler that the program has put over ours in the
/// meantime is left alone.
class Signals {
 public:
  /// How often each kind has come since the process began to listen.
  struct Arrivals {
    uint64_t stop = 0;
    uint64_t save = 0;
    bool operator==(const Arrivals& other) const {
      return stop == other.stop && save == other.save;
    }
  };

  /// Those of `stop` that are in `end` as well end the process when they come a second time.
  /// Throws Error(invalid_argument) for a signal that cannot be caught, or that reports a fault of
  /// the program.
  Signals(const std::vector<int>& stop, const std::vector<int>& save, const std::vector<int>& end);
  ~Signals();

  Arrivals arrivals() const;
  /// Whether some have come that were not answered. Not thread-safe, as `acknowledge`.
  bool due() const { return !(arrivals() == acknowledged_); }
  /// Call this when all that training had reached at `arrivals` is on disk.
  void acknowledge(const Arrivals& arrivals);
  /// Whether a signal to stop was acknowledged. Thread-safe.
  bool should_stop() const { return should_stop_; }

 private:
  std::vector<std::unique_ptr<SignalWatch>> stop_;
  std::vector<std::unique_ptr<SignalWatch>> save_;
  Arrivals acknowledged_;
  std::atomic<bool> should_stop_{false};
};

}  // namespace checkpoint::manager
