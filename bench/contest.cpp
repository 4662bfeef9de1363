#include "contest.h"

#include "raw.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

namespace bench {

void Rest::take() const {
  sync_file_system(folder_);
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds_));
}

void Rest::lengthen() {
  constexpr double kLeast = 0.5;
  constexpr double kMost = 4;
  seconds_ = std::max(seconds_, std::min(kMost, std::max(kLeast, 2 * seconds_)));
}

void Contest::run(std::vector<Side> baselines, std::vector<Side> sides, Rest* rest) {
  std::shuffle(sides.begin(), sides.end(), random_);
  Values before = measure_baselines(baselines, rest);
  for (const Side& side : sides) {
    report_.add(side.name, measure_between(side, baselines, before, rest), "s", side.bytes);
  }
}

double Contest::measure(const Side& side, const Rest* rest) {
  if (side.prepare) side.prepare();
  if (rest != nullptr) rest->take();
  return side.measure();
}

Contest::Values Contest::measure_baselines(const std::vector<Side>& baselines, const Rest* rest) {
  Values values(baselines.size());
  std::vector<size_t> order(baselines.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::shuffle(order.begin(), order.end(), random_);
  for (const size_t i : order) {
    values[i] = measure(baselines[i], rest);
    report_.add(baselines[i].name, values[i], "s", baselines[i].bytes);
  }
  return values;
}

// `before` becomes what was measured after the side: that is before the next one.
Sample Contest::measure_between(const Side& side, const std::vector<Side>& baselines,
                                Values& before, Rest* rest) {
  Sample calmest;
  for (int tries = 0; tries < tries_; ++tries) {
    Sample sample;
    sample.value = measure(side, rest);
    Values after = measure_baselines(baselines, rest);
    for (size_t i = 0; i < baselines.size(); ++i) {
      sample.around[baselines[i].name] = {before[i], after[i]};
    }
    before = std::move(after);
    sample.steady = sample.moved() <= kMostMoved;
    if (tries == 0 || sample.moved() < calmest.moved()) calmest = std::move(sample);
    if (calmest.steady) break;
    if (rest != nullptr) rest->lengthen();
  }
  return calmest;
}

}  // namespace bench
