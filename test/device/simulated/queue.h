// The streams of a simulated device: each is a thread that carries out what is queued, in order.

#pragma once

#include "device/simulated/simulated_device.h"

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <utility>

namespace simulated {

/// One recording of an event.
class Marker {
 public:
  void set();
  void wait();
  bool is_set();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool set_ = false;
};

/// Thread-safe. Its thread starts with the first work, and never ends.
class Queue {
 public:
  void push(Work work, std::function<void()> run);
  /// Waits for what has been pushed so far.
  void drain();
  bool is_idle();
  /// Whether it has nothing to do, or its work waits for a Marker.
  bool is_settled();

 private:
  friend class Marker;
  void run_all();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::pair<Work, std::function<void()>>> items_;
  uint64_t pushed_ = 0;
  uint64_t done_ = 0;
  bool waits_ = false;
  bool started_ = false;
};

}  // namespace simulated
