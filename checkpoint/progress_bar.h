#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace checkpoint::cli {

/// A line on standard error that says how far something has come, how fast it is and how long it
/// will take still; if standard error is a terminal, otherwise nothing. Not thread-safe.
class ProgressBar {
 public:
  explicit ProgressBar(uint64_t bytes_total);
  ~ProgressBar() { clear(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// So much is done. Draws ten times a second at most.
  void show(uint64_t bytes_done);
  /// Makes room for other output; the next `show` draws again.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;

  std::string line(uint64_t bytes_done, Clock::time_point now) const;

  const uint64_t bytes_total_;
  const bool on_terminal_;
  const Clock::time_point begin_ = Clock::now();
  Clock::time_point next_drawing_ = begin_;
  bool drawn_ = false;
};

}  // namespace checkpoint::cli
