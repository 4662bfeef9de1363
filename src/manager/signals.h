#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace checkpoint::manager {

class SignalWatch;

/// The signals that ask one manager for a save. The handler counts them, and ends the process at
/// the second one if the options say so. It calls the handler that was installed before it. That
/// one is put back when the last manager stops listening, unless the program has installed another
/// handler over ours.
class Signals {
 public:
  /// The number of signals of each kind since the process began to listen.
  struct Arrivals {
    uint64_t stop = 0;
    uint64_t save = 0;
    bool operator==(const Arrivals& other) const {
      return stop == other.stop && save == other.save;
    }
  };

  /// A signal of `stop` that is also in `end` ends the process when it comes a second time. Throws
  /// Error(invalid_argument) for a signal that cannot be caught, or that reports a fault of the
  /// program.
  Signals(const std::vector<int>& stop, const std::vector<int>& save, const std::vector<int>& end);
  ~Signals();

  Arrivals arrivals() const;
  /// Returns the arrivals that were acknowledged last. Not thread-safe.
  const Arrivals& acknowledged() const { return acknowledged_; }
  /// Returns whether a signal has come that was not acknowledged yet. Not thread-safe.
  bool due() const { return !(arrivals() == acknowledged_); }
  /// Call this when a checkpoint that was started after `arrivals` is on disk. Not thread-safe.
  void acknowledge(const Arrivals& arrivals);
  /// Call this when such a checkpoint is on disk for a signal to stop that came to another rank.
  void acknowledge_stop_elsewhere() { should_stop_ = true; }
  /// Returns whether a signal to stop was acknowledged. Thread-safe.
  bool should_stop() const { return should_stop_; }

 private:
  std::vector<std::unique_ptr<SignalWatch>> stop_;
  std::vector<std::unique_ptr<SignalWatch>> save_;
  Arrivals acknowledged_;
  std::atomic<bool> should_stop_{false};
};

}  // namespace checkpoint::manager
