#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace checkpoint::cli {

/// A line on standard error that shows the progress, the speed and the remaining time. Shows
/// nothing if standard error is not a terminal. Not thread-safe.
class ProgressBar {
 public:
  explicit ProgressBar(uint64_t bytes_total);
  ~ProgressBar() { clear(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// Shows that `bytes_done` bytes are done. Draws at most ten times a second.
  void show(uint64_t bytes_done);
  /// Removes the line, to make room for other output. The next `show` draws it again.
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
