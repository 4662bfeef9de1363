#include "report.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <stdexcept>

namespace bench {
namespace {

double median_of(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

std::pair<double, double> spread_of(const std::vector<double>& values) {
  if (values.empty()) return {0, 0};
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  return {*least, *most};
}

}  // namespace

void Report::add(const std::string& name, double value, const std::string& unit, double bytes) {
  const auto [series, fresh] = series_.try_emplace(name, Series{unit, bytes, {}});
  if (fresh) order_.push_back(name);
  series->second.values.push_back(value);
}

void Report::aim(const std::string& key, const std::string& numerator,
                 const std::string& denominator, Aim direction, double aim) {
  if (!has(numerator) || (!denominator.empty() && !has(denominator))) return;
  Ratio ratio{key, numerator, denominator, direction, aim, {}};
  const std::vector<double>& above = series_.at(numerator).values;
  if (denominator.empty()) {
    ratio.values = above;
  } else {
    const std::vector<double>& below = series_.at(denominator).values;
    for (size_t i = 0; i < std::min(above.size(), below.size()); ++i) {
      ratio.values.push_back(above[i] / below[i]);
    }
  }
  ratios_.push_back(std::move(ratio));
}

double Report::median(const std::string& name) const { return median_of(series_.at(name).values); }

void Report::print() const {
  std::printf("\n%-46s %10s %-4s %10s %10s %8s\n", "measured", "median", "", "least", "most",
              "GB/s");
  for (const std::string& name : order_) {
    const Series& series = series_.at(name);
    const auto [least, most] = spread_of(series.values);
    const double median = median_of(series.values);
    std::printf("%-46s %10.4g %-4s %10.4g %10.4g", name.c_str(), median, series.unit.c_str(), least,
                most);
    if (series.bytes > 0) std::printf(" %8.2f", series.bytes / median / 1e9);
    std::printf("\n");
  }
  std::printf("\n%-28s %8s %8s %8s  %s\n", "ratio", "median", "least", "most", "aim");
  for (const Ratio& ratio : ratios_) {
    const auto [least, most] = spread_of(ratio.values);
    const double median = median_of(ratio.values);
    const bool at_most = ratio.direction == Aim::kAtMost;
    const bool met = at_most ? median <= ratio.aim : median >= ratio.aim;
    std::printf("%-28s %8.3g %8.3g %8.3g  %s %g%s\n", ratio.key.c_str(), median, least, most,
                at_most ? "at most" : "at least", ratio.aim, met ? "" : "   MISSED");
  }
}

void Report::write_json(const std::string& path,
                        const std::map<std::string, std::string>& about) const {
  nlohmann::ordered_json document = {{"about", about}};
  for (const Ratio& ratio : ratios_) document[ratio.key] = median_of(ratio.values);
  for (const Ratio& ratio : ratios_) {
    document["aims"][ratio.key] = {
        {ratio.direction == Aim::kAtMost ? "at_most" : "at_least", ratio.aim},
        {"values", ratio.values}};
  }
  for (const std::string& name : order_) {
    const Series& series = series_.at(name);
    document["measured"][name] = {
        {"unit", series.unit}, {"median", median_of(series.values)}, {"values", series.values}};
    if (series.bytes > 0) document["measured"][name]["bytes"] = series.bytes;
  }
  std::ofstream file(path);
  file << document.dump(2) << '\n';
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

}  // namespace bench
