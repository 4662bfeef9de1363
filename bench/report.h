#pragma once

#include <map>
#include <string>
#include <vector>

namespace bench {

/// The measurements, round by round, and the ratios computed from them.
class Report {
 public:
  /// `bytes` is what each measurement moves, for GB/s. 0: do not report GB/s.
  void add(const std::string& name, double value, const std::string& unit = "s", double bytes = 0);

  enum class Aim { kAtMost, kAtLeast };
  /// Compares a ratio with an aim: of two times, or of one value to 1 (if the denominator is
  /// empty). The ratio is the median of the rounds' ratios, so that other load affects both sides
  /// of each alike.
  void aim(const std::string& key, const std::string& numerator, const std::string& denominator,
           Aim direction, double aim);

  double median(const std::string& name) const;
  bool has(const std::string& name) const { return series_.count(name) != 0; }
  void print() const;
  /// Throws std::runtime_error if the file cannot be written.
  void write_json(const std::string& path, const std::map<std::string, std::string>& about) const;

 private:
  struct Series {
    std::string unit;
    double bytes;
    std::vector<double> values;
  };
  struct Ratio {
    std::string key;
    std::string numerator;
    std::string denominator;
    Aim direction;
    double aim;
    std::vector<double> values;
  };

  std::vector<std::string> order_;
  std::map<std::string, Series> series_;
  std::vector<Ratio> ratios_;
};

}  // namespace bench
