// Random generators of simulated devices. Their state is a seed and an offset, 16 bytes as CUDA's
// since LibTorch 2.0, or 816 as in 1.13. The numbers come from a CPU generator that is made from
// the two.

#include "device/simulated/torch.h"

#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/GeneratorImpl.h>

#include <cstring>
#include <map>

namespace simulated {
namespace {

constexpr int64_t kShort = 16, kLong = 816;

int64_t state_bytes() { return has_long_generator_states() ? kLong : kShort; }

class Generator final : public c10::GeneratorImpl {
 public:
  explicit Generator(c10::Device device)
      : c10::GeneratorImpl(device, c10::DispatchKeySet(kind_of(device.type()).key)) {}

  void set_current_seed(uint64_t seed) override {
    seed_ = seed;
    offset_ = 0;
  }
  uint64_t current_seed() const override { return seed_; }
  uint64_t seed() override {
    set_current_seed(c10::detail::getNonDeterministicRandom());
    return seed_;
  }
#if SIMULATED_TORCH_2
  void set_offset(uint64_t offset) override { offset_ = offset; }
  uint64_t get_offset() const override { return offset_; }
#endif
  void set_state(const c10::TensorImpl& state) override {
    TORCH_CHECK(state.device_type() == c10::kCPU && state.numel() == state_bytes(),
                "RNG state is wrong size");
    const auto* const end = static_cast<const char*>(state.data()) + state_bytes();
    std::memcpy(&seed_, end - 16, 8);
    std::memcpy(&offset_, end - 8, 8);
  }
  c10::intrusive_ptr<c10::TensorImpl> get_state() const override {
    const at::Tensor state = at::full({state_bytes()}, 0xff, at::kByte);
    auto* const end = static_cast<char*>(state.data_ptr()) + state_bytes();
    std::memcpy(end - 16, &seed_, 8);
    std::memcpy(end - 8, &offset_, 8);
    return state.getIntrusivePtr();
  }
  Generator* clone_impl() const override {
    auto* const made = new Generator(device_);
    made->seed_ = seed_;
    made->offset_ = offset_;
    return made;
  }
  at::Generator next(uint64_t numbers) {
    const uint64_t from = seed_ ^ (offset_ * 0x9E3779B97F4A7C15ULL);
    offset_ += (numbers + 3) / 4 * 4;
    return at::detail::createCPUGenerator(from);
  }

 private:
  uint64_t seed_ = c10::default_rng_seed_val;
  uint64_t offset_ = 0;
};

}  // namespace

const at::Generator& default_generator(c10::Device asked) {
  static auto* const all =
      new std::map<c10::Device, at::Generator, bool (*)(c10::Device, c10::Device)>(
          [](c10::Device left, c10::Device right) {
            return std::make_pair(left.type(), left.index()) <
                   std::make_pair(right.type(), right.index());
          });
  const c10::Device device = device_at(asked).name;
  const auto found = all->find(device);
  if (found != all->end()) return found->second;
  return all->emplace(device, at::make_generator<Generator>(device)).first->second;
}

at::Generator next_numbers(const at::Generator& generator, uint64_t numbers) {
  return static_cast<Generator*>(generator.unsafeGetGeneratorImpl())->next(numbers);
}

}  // namespace simulated
