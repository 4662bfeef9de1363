#include "report.h"

#include "median.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <utility>

namespace bench {
namespace {

using nlohmann::ordered_json;

std::pair<double, double> spread_of(const std::vector<double>& values) {
  if (values.empty()) return {0, 0};
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  return {*least, *most};
}

// The ratio of two samples of the same round.
double ratio_of(const Sample& above, const std::string& above_name, const Sample& below,
                const std::string& below_name) {
  const auto around_above = above.around.find(below_name);
  if (around_above != above.around.end()) return above.value / around_above->second.mean();
  const auto around_below = below.around.find(above_name);
  if (around_below != below.around.end()) return around_below->second.mean() / below.value;
  return above.value / below.value;
}

const Sample kNothing;

// Whether `baseline` was measured around each of the samples.
bool carries(const std::vector<Sample>& samples, const std::string& baseline) {
  return samples.front().around.count(baseline) != 0;
}

ordered_json json_of(const Machine& machine) {
  ordered_json document;
  for (const auto& [name, text] : machine.facts) document[name] = text;
  for (const Measure& measure : machine.measures) {
    document["measured"][measure.name] = {{"value", measure.value}, {"unit", measure.unit}};
  }
  return document;
}

}  // namespace

double Around::moved() const { return std::max(before, after) / std::min(before, after); }

double Sample::moved() const {
  double most = 1;
  for (const auto& [name, baseline] : around) most = std::max(most, baseline.moved());
  return most;
}

std::vector<double> Report::Series::values() const {
  std::vector<double> values;
  for (const Sample& sample : samples) values.push_back(sample.value);
  return values;
}

void Report::Ratio::add(double value, const Sample& above, const Sample& below) {
  values.push_back(value);
  moved.push_back(std::max(above.moved(), below.moved()));
  if (!above.steady || !below.steady) ++unsteady;
}

bool Report::Ratio::missed() const {
  const double median = median_of(values);
  return (direction == Aim::kAtMost && median > aim) ||
         (direction == Aim::kAtLeast && median < aim);
}

std::string Report::Ratio::verdict() const {
  std::string text;
  if (direction != Aim::kNone) {
    char limit[40];
    std::snprintf(limit, sizeof limit, "%s %g", direction == Aim::kAtMost ? "at most" : "at least",
                  aim);
    text = limit;
  }
  if (missed()) text += "   MISSED";
  if (unsteady > 0) {
    text += "   unsteady " + std::to_string(unsteady) + " of " + std::to_string(values.size());
  }
  return text;
}

void Report::add(const std::string& name, double value, const std::string& unit, double bytes) {
  Sample sample;
  sample.value = value;
  add(name, std::move(sample), unit, bytes);
}

void Report::add(const std::string& name, Sample sample, const std::string& unit, double bytes) {
  const auto [series, fresh] = series_.try_emplace(name, Series{unit, bytes, {}});
  if (fresh) order_.push_back(name);
  series->second.samples.push_back(std::move(sample));
}

void Report::aim(const std::string& key, const std::string& numerator,
                 const std::string& denominator, Aim direction, double aim) {
  if (!has(numerator) || (!denominator.empty() && !has(denominator))) return;
  Ratio ratio{key, numerator, denominator, direction, aim, {}, {}, 0};
  const std::vector<Sample>& above = series_.at(numerator).samples;
  const std::vector<Sample>& below = denominator.empty() ? above : series_.at(denominator).samples;
  // A baseline has more samples than there are rounds. The other side, which has one a round,
  // carries those that belong to it.
  const bool above_alone = denominator.empty() || carries(above, denominator);
  const bool below_alone = !above_alone && carries(below, numerator);
  const size_t rounds = above_alone   ? above.size()
                        : below_alone ? below.size()
                                      : std::min(above.size(), below.size());
  for (size_t i = 0; i < rounds; ++i) {
    const Sample& up = below_alone ? kNothing : above[i];
    const Sample& down = above_alone ? kNothing : below[i];
    const double value =
        denominator.empty() ? up.value : ratio_of(up, numerator, down, denominator);
    ratio.add(value, up, down);
  }
  ratios_.push_back(std::move(ratio));
}

double Report::median(const std::string& name) const {
  return median_of(series_.at(name).values());
}

void Report::print() const {
  print_measured();
  print_ratios();
}

void Report::print_measured() const {
  std::printf("\n%-46s %10s %-4s %10s %10s %8s\n", "measured", "median", "", "least", "most",
              "GB/s");
  for (const std::string& name : order_) {
    const Series& series = series_.at(name);
    const auto [least, most] = spread_of(series.values());
    const double median = median_of(series.values());
    std::printf("%-46s %10.4g %-4s %10.4g %10.4g", name.c_str(), median, series.unit.c_str(), least,
                most);
    if (series.bytes > 0) std::printf(" %8.2f", series.bytes / median / 1e9);
    std::printf("\n");
  }
}

void Report::print_ratios() const {
  std::printf("\n%-32s %8s %8s %8s %6s  %s\n", "ratio", "median", "least", "most", "moved", "aim");
  for (const Ratio& ratio : ratios_) {
    const auto [least, most] = spread_of(ratio.values);
    std::printf("%-32s %8.3g %8.3g %8.3g %6.2f  %s\n", ratio.key.c_str(), median_of(ratio.values),
                least, most, spread_of(ratio.moved).second, ratio.verdict().c_str());
  }
}

void Report::write_json(const std::string& path, const std::map<std::string, std::string>& about,
                        const Machine& machine) const {
  ordered_json document = {{"about", about}};
  if (!machine.facts.empty()) document["machine"] = json_of(machine);
  for (const Ratio& ratio : ratios_) document[ratio.key] = median_of(ratio.values);
  for (const Ratio& ratio : ratios_) {
    ordered_json& aim = document["aims"][ratio.key];
    if (ratio.direction == Aim::kAtMost) aim["at_most"] = ratio.aim;
    if (ratio.direction == Aim::kAtLeast) aim["at_least"] = ratio.aim;
    aim["values"] = ratio.values;
    aim["moved"] = ratio.moved;
    aim["unsteady"] = ratio.unsteady;
  }
  for (const std::string& name : order_) {
    const Series& series = series_.at(name);
    document["measured"][name] = {
        {"unit", series.unit}, {"median", median_of(series.values())}, {"values", series.values()}};
    if (series.bytes > 0) document["measured"][name]["bytes"] = series.bytes;
  }
  std::ofstream file(path);
  file << document.dump(2) << '\n';
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

}  // namespace bench
