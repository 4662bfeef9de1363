#pragma once

#include "report.h"

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace bench {

/// One thing that is measured.
struct Side {
  std::string name;
  double bytes;                     ///< What it moves, for GB/s. 0: do not report GB/s.
  std::function<void()> prepare;    ///< Not measured: removes files, fills caches. May be empty.
  std::function<double()> measure;  ///< Returns seconds.
};

/// Rests between measurements, so that none pays for the one before it.
class Rest {
 public:
  /// `folder`: on the disk that is measured. `seconds`: how long to rest at first.
  Rest(std::string folder, double seconds) : folder_(std::move(folder)), seconds_(seconds) {}

  /// Waits until the disk has written and freed what it was given, then for the pause.
  void take() const;
  /// Makes the pause longer, after the disk's speed has changed: up to 4 s, or what it was at
  /// first.
  void lengthen();
  double seconds() const { return seconds_; }

 private:
  std::string folder_;
  double seconds_;
};

/// How a round is measured fairly. The sides take turns in random order. The baselines are measured
/// before the first side and after each: what a side is compared with are the two that enclose it.
/// If a baseline moved by more than 1.5 times meanwhile, the side is measured again, with the next
/// baseline. After so many tries the one with the calmest baseline counts, and is marked unsteady.
class Contest {
 public:
  Contest(Report& report, uint64_t seed, int tries)
      : report_(report), random_(seed), tries_(tries) {}

  /// Adds each side once to the report, and each baseline as often as it was measured. `rest` may
  /// be null.
  void run(std::vector<Side> baselines, std::vector<Side> sides, Rest* rest = nullptr);

 private:
  using Values = std::vector<double>;
  double measure(const Side& side, const Rest* rest);
  Values measure_baselines(const std::vector<Side>& baselines, const Rest* rest);
  Sample measure_between(const Side& side, const std::vector<Side>& baselines, Values& before,
                         Rest* rest);

  static constexpr double kMostMoved = 1.5;

  Report& report_;
  std::mt19937_64 random_;
  const int tries_;
};

}  // namespace bench
