#include "support/catch.h"
#include "support/models.h"
#include "support/round_trip.h"

#include "compat/accelerator.h"

#include <cstring>
#include <functional>

using namespace checkpoint;
using test::same_bits;
using test::Saved;

TEST_CASE("The CPU generator goes on where it was") {
  torch::manual_seed(7);
  torch::randn({5});  // An odd number: one half of a pair of normals stays in the generator.
  const State state;
  const Saved file(state);
  const torch::Tensor expected = torch::cat({torch::randn({17}), torch::rand({5})});
  torch::manual_seed(8);
  State to;
  file.restore(to);
  CHECK(same_bits(torch::cat({torch::randn({17}), torch::rand({5})}), expected));
}

TEST_CASE("The generator is left alone where the State, or the file, has none") {
  torch::manual_seed(7);
  State with, without;
  without.rng(false);
  const Saved file_with(with), file_without(without);
  const auto next_after = [](const std::function<void()>& restore) {
    torch::manual_seed(8);
    restore();
    return torch::randn({3});
  };
  const torch::Tensor untouched = next_after([] {});
  CHECK(same_bits(next_after([&] { file_with.restore(without); }), untouched));
  CHECK(same_bits(next_after([&] { file_without.restore(with); }), untouched));
  CHECK_FALSE(same_bits(next_after([&] { file_with.restore(with); }), untouched));
}

TEST_CASE("A CUDA generator's state goes from one version of LibTorch to another") {
  const auto bytes = [](int64_t count, int64_t seed, int64_t offset, uint8_t filler) {
    torch::Tensor state = torch::full({count}, filler, torch::kUInt8);
    std::memcpy(state.data_ptr<uint8_t>() + count - 16, &seed, 8);
    std::memcpy(state.data_ptr<uint8_t>() + count - 8, &offset, 8);
    return state;
  };
  const torch::Tensor old_state = bytes(816, 42, 4096, 0xff), new_state = bytes(16, 1, 2, 0);
  CHECK(same_bits(compat::convert_generator_state(old_state, new_state), bytes(16, 42, 4096, 0)));
  CHECK(same_bits(compat::convert_generator_state(new_state, old_state), bytes(816, 1, 2, 0xff)));
  CHECK(same_bits(compat::convert_generator_state(new_state, bytes(16, 9, 9, 0)), new_state));
  const c10::Device cuda(torch::kCUDA, 0);
  CHECK(compat::generator_state_fits(cuda, 816, 16));
  CHECK_FALSE(compat::generator_state_fits(cuda, 3, 16));
  CHECK_FALSE(compat::generator_state_fits(c10::Device(torch::kXPU, 0), 816, 16));
  CHECK(compat::generator_state_fits(torch::kCPU, 5056, 5056));
}
