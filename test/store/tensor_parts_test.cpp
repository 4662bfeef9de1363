#include "store/records/tensor_parts.h"

#include "support/catch.h"

#include <random>
#include <vector>

using namespace checkpoint;
using store::find_fault;
using store::TensorPart;
using Kind = store::PartsFault::Kind;

namespace {

TensorPart part(std::vector<int64_t> at, std::vector<int64_t> shape) {
  TensorPart result;
  result.at = std::move(at);
  result.shape = std::move(shape);
  return result;
}

}  // namespace

TEST_CASE("Parts that make up a tensor have no fault") {
  CHECK_FALSE(find_fault({part({0, 0}, {4, 3})}, {4, 3}));
  CHECK_FALSE(find_fault({part({0, 0}, {4, 1}), part({0, 1}, {4, 2})}, {4, 3}));
  CHECK_FALSE(find_fault({part({}, {})}, {}));
  CHECK_FALSE(find_fault({}, {0, 3}));
}

TEST_CASE("A gap, an overlap and a part outside are found with their places") {
  const auto gap = find_fault({part({0, 0}, {2, 3}), part({2, 1}, {2, 2})}, {4, 3});
  REQUIRE(gap);
  CHECK(gap->kind == Kind::kGap);
  CHECK(gap->at == std::vector<int64_t>{2, 0});

  const auto overlap =
      find_fault({part({2, 0}, {2, 3}), part({0, 0}, {2, 3}), part({1, 2}, {2, 1})}, {4, 3});
  REQUIRE(overlap);
  CHECK(overlap->kind == Kind::kOverlap);
  CHECK(overlap->other == 2);

  for (const TensorPart& bad : {part({3, 0}, {2, 3}), part({-1, 0}, {2, 3}), part({0, 0}, {0, 3}),
                                part({0}, {4}), part({5, 0}, {1, 3})}) {
    const auto outside = find_fault({bad}, {4, 3});
    REQUIRE(outside);
    CHECK(outside->kind == Kind::kOutside);
  }
  CHECK(find_fault({}, {4, 3})->at == std::vector<int64_t>{0, 0});
  CHECK(find_fault({part({}, {}), part({}, {})}, {})->kind == Kind::kOverlap);
}

TEST_CASE("Many parts are checked in time, however they are laid out", "[one-thread]") {
  std::vector<TensorPart> grid, wheel, stair;
  constexpr int64_t kSide = 200;
  for (int64_t i = 0; i < kSide * kSide; ++i) {
    grid.push_back(part({i / kSide, i % kSide, 0}, {1, 1, 7}));
  }
  CHECK_FALSE(find_fault(grid, {kSide, kSide, 7}));
  grid.back().shape[2] = 6;
  CHECK(find_fault(grid, {kSide, kSide, 7})->kind == Kind::kGap);
  grid.push_back(part({0, 0, 6}, {1, 1, 1}));
  CHECK(find_fault(grid, {kSide, kSide, 7})->kind == Kind::kOverlap);

  // No plane divides these five.
  wheel = {part({0, 0}, {1, 2}), part({0, 2}, {2, 1}), part({2, 1}, {1, 2}), part({1, 0}, {2, 1}),
           part({1, 1}, {1, 1})};
  CHECK_FALSE(find_fault(wheel, {3, 3}));

  // No plane divides these either, and in the first dimension each one lies beside all others.
  constexpr int64_t kSteps = 40000;
  for (int64_t i = 0; i < kSteps; ++i) {
    const int64_t border = i <= kSteps / 2 ? 3 : 5;
    const bool is_left = i % 2 == 0;
    stair.push_back(
        part({i, i, is_left ? 0 : border}, {kSteps - i, 2, is_left ? border : 8 - border}));
  }
  const auto fault = find_fault(stair, {kSteps, kSteps + 1, 8});
  REQUIRE(fault);
  CHECK(fault->kind == Kind::kTangled);
}

TEST_CASE("Faults of random parts are those that counting finds") {
  std::mt19937 random(7);
  const auto below = [&](int64_t most) {
    return std::uniform_int_distribution<int64_t>(0, most - 1)(random);
  };
  int gaps = 0;
  int overlaps = 0;
  int whole = 0;
  for (int round = 0; round < 3000; ++round) {
    const std::vector<int64_t> shape = {1 + below(3), 1 + below(3), 1 + below(2)};
    std::vector<TensorPart> parts;
    for (int64_t i = below(5); i >= 0; --i) {
      TensorPart one;
      for (const int64_t size : shape) {
        one.at.push_back(below(size));
        one.shape.push_back(1 + below(size - one.at.back()));
      }
      parts.push_back(std::move(one));
    }
    std::vector<int64_t> first_gap;
    bool has_overlap = false;
    for (int64_t x = 0; x < shape[0]; ++x) {
      for (int64_t y = 0; y < shape[1]; ++y) {
        for (int64_t z = 0; z < shape[2]; ++z) {
          int times = 0;
          for (const TensorPart& one : parts) {
            const bool in = x >= one.at[0] && x < one.at[0] + one.shape[0] && y >= one.at[1] &&
                            y < one.at[1] + one.shape[1] && z >= one.at[2] &&
                            z < one.at[2] + one.shape[2];
            times += in ? 1 : 0;
          }
          has_overlap = has_overlap || times > 1;
          if (times == 0 && first_gap.empty()) first_gap = {x, y, z};
        }
      }
    }
    const auto fault = find_fault(parts, shape);
    if (has_overlap) {
      REQUIRE(fault);
      CHECK(fault->kind == Kind::kOverlap);
      ++overlaps;
    } else if (!first_gap.empty()) {
      REQUIRE(fault);
      CHECK(fault->kind == Kind::kGap);
      CHECK(fault->at == first_gap);
      ++gaps;
    } else {
      CHECK_FALSE(fault);
      ++whole;
    }
  }
  CHECK(gaps > 100);
  CHECK(overlaps > 100);
  CHECK(whole > 100);
}

TEST_CASE("A region is written as Python writes it") {
  CHECK(store::region_text({0, 8}, {4, 8}) == "[0:4, 8:16]");
}
