#pragma once

#include "machine.h"

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace bench {

/// A baseline, measured just before and just after a value that is compared with it.
struct Around {
  double before;
  double after;
  double mean() const { return (before + after) / 2; }
  /// How far it moved meanwhile: the larger divided by the smaller, at least 1.
  double moved() const;
};

/// One measurement, in one round.
struct Sample {
  double value = 0;
  std::map<std::string, Around> around;  ///< By the baseline's name.
  bool steady = true;                    ///< Whether the baselines stayed where they were.

  /// The largest `moved()` of its baselines. 1 without any.
  double moved() const;
};

/// The measurements, round by round, and the ratios computed from them.
class Report {
 public:
  /// `bytes` is what each measurement moves, for GB/s. 0: do not report GB/s.
  void add(const std::string& name, double value, const std::string& unit = "s", double bytes = 0);
  void add(const std::string& name, Sample sample, const std::string& unit = "s", double bytes = 0);

  /// kNone: a ratio to read, without an aim.
  enum class Aim { kAtMost, kAtLeast, kNone };
  /// Compares a ratio with an aim: of two times, or of one value to 1 (if the denominator is
  /// empty). The ratio is the median of the rounds' ratios, so that other load affects both sides
  /// of each alike. If one side was measured around the other, the mean of before and after counts.
  /// Does nothing if one of them was not measured.
  void aim(const std::string& key, const std::string& numerator, const std::string& denominator,
           Aim direction, double aim = 0);

  double median(const std::string& name) const;
  bool has(const std::string& name) const { return series_.count(name) != 0; }
  void print() const;
  /// Throws std::runtime_error if the file cannot be written.
  void write_json(const std::string& path, const std::map<std::string, std::string>& about,
                  const Machine& machine = {}) const;

 private:
  struct Series {
    std::string unit;
    double bytes;
    std::vector<Sample> samples;
    std::vector<double> values() const;
  };
  struct Ratio {
    std::string key;
    std::string numerator;
    std::string denominator;
    Aim direction;
    double aim;
    std::vector<double> values;  // One for each round.
    std::vector<double> moved;   // How far the baselines moved in that round.
    size_t unsteady;             // In how many rounds they did not settle.

    void add(double value, const Sample& above, const Sample& below);
    bool missed() const;
    std::string verdict() const;
  };

  void print_measured() const;
  void print_ratios() const;

  std::vector<std::string> order_;
  std::map<std::string, Series> series_;
  std::vector<Ratio> ratios_;
};

}  // namespace bench
