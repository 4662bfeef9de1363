#include "format/decode/read_strided.h"

#include "support/catch.h"

#include <torch/torch.h>

#include <cstring>
#include <random>
#include <vector>

using namespace checkpoint;

namespace {

// Reads a part of a tensor, and compares it with the view. Returns how many bytes were read.
uint64_t bytes_read_of(const torch::Tensor& whole, const torch::Tensor& view) {
  const auto* const record = static_cast<const char*>(whole.data_ptr());
  const auto first = static_cast<uint64_t>(view.storage_offset()) * view.element_size();
  const uint64_t size = whole.nbytes();
  uint64_t count = 0;
  const torch::Tensor to = torch::empty(view.sizes(), view.options());
  format::read_strided(to, view.strides(), [&](uint64_t offset, void* out, uint64_t bytes) {
    REQUIRE(first + offset + bytes <= size);
    std::memcpy(out, record + first + offset, bytes);
    count += bytes;
  });
  CHECK(torch::equal(to, view));
  return count;
}

}  // namespace

TEST_CASE("A block of a tensor is read without the large gaps") {
  const torch::Tensor whole = torch::arange(2048 * 3000).view({2048, 3000}).to(torch::kFloat);
  const uint64_t row = 3000 * 4;
  // Rows lie together.
  CHECK(bytes_read_of(whole, whole.narrow(0, 100, 50)) == 50 * row);
  // A gap of two thirds of a row follows each row.
  CHECK(bytes_read_of(whole, whole.narrow(1, 1000, 1000)) == 2048 * 4000);
  // The gaps are smaller than a page.
  const uint64_t most = bytes_read_of(whole, whole.narrow(1, 0, 2500));
  CHECK(most <= 2048 * row);
  CHECK(most >= 2047 * 10000);
  // A single column.
  CHECK(bytes_read_of(whole, whole.narrow(1, 7, 1)) == 2048 * 4);
  CHECK(bytes_read_of(whole, whole.narrow(1, 7, 0)) == 0);
  CHECK(bytes_read_of(whole, whole.t().narrow(0, 1000, 1000)) == 2048 * 4000);
}

TEST_CASE("Any block of any tensor is read right") {
  std::mt19937 random(GENERATE(1, 2, 3));
  const auto below = [&](int64_t most) {
    return std::uniform_int_distribution<int64_t>(0, most - 1)(random);
  };
  for (int round = 0; round < 60; ++round) {
    std::vector<int64_t> shape;
    std::vector<int64_t> order;
    const int64_t dimensions = 1 + below(4);
    for (int64_t i = 0; i < dimensions; ++i) {
      shape.push_back(1 + below(dimensions < 3 ? 3000 : 40));
      order.push_back(i);
    }
    std::shuffle(order.begin(), order.end(), random);
    const torch::Tensor whole = torch::randint(0, 100, shape, torch::kShort);
    torch::Tensor view = whole.permute(order);
    for (int64_t i = 0; i < dimensions; ++i) {
      const int64_t begin = below(view.size(i));
      view = view.narrow(i, begin, 1 + below(view.size(i) - begin));
    }
    CAPTURE(shape, order);
    CHECK(bytes_read_of(whole, view) <= whole.nbytes());
  }
}
