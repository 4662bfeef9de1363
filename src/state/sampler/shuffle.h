#pragma once

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

namespace checkpoint::state {

/// SplitMix64's output function (Steele, Lea and Flood, 2014): a bijection that mixes all bits.
constexpr uint64_t mix64(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

/// A sequence of 64-bit numbers made from (seed, epoch). The k-th one, counted from 1, is mix64(key
/// + k * kStep) with key = mix64(mix64(seed + kStep) + epoch), all modulo 2^64.
class EpochDraws {
 public:
  static constexpr uint64_t kStep = 0x9e3779b97f4a7c15;

  EpochDraws(uint64_t seed, uint64_t epoch) : counter_(mix64(mix64(seed + kStep) + epoch)) {}

  uint64_t next() { return mix64(counter_ += kStep); }
  /// Returns a number from 0 to bound - 1, all equally likely. Draws at or above the largest
  /// multiple of `bound` within 2^64 are skipped; the others are taken modulo `bound`.
  uint64_t below(uint64_t bound) {
    const uint64_t excess = (UINT64_MAX % bound + 1) % bound;  // 2^64 modulo bound.
    uint64_t draw = next();
    while (draw > UINT64_MAX - excess) draw = next();
    return draw % bound;
  }

 private:
  uint64_t counter_;
};

/// Returns the order of an epoch: 0 to size - 1, shuffled from the end (Fisher and Yates). For i
/// from size - 1 down to 1, the element at i changes places with the one at below(i + 1).
///
/// The result is part of the format, because a checkpoint's position counts in this order. It must
/// never change.
inline std::vector<size_t> shuffled_order(size_t size, uint64_t seed, uint64_t epoch) {
  std::vector<size_t> order(size);
  std::iota(order.begin(), order.end(), size_t{0});
  EpochDraws draws(seed, epoch);
  for (size_t i = size; i-- > 1;) std::swap(order[i], order[draws.below(i + 1)]);
  return order;
}

}  // namespace checkpoint::state
