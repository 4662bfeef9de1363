#include "base/available_memory.h"
#include "support/catch.h"
#include "support/round_trip.h"

#include <torch/torch.h>

#include <cstring>
#include <filesystem>
#include <new>
#include <string>

#include <sys/mman.h>

using namespace checkpoint;
using test::Saved;

namespace {

constexpr size_t kGiB = size_t{1} << 30;
constexpr size_t kBytes = 4 * kGiB + 4097;

// Zeros that take no memory until they are written.
class Zeros {
 public:
  Zeros()
      : data_(::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {
    if (data_ == MAP_FAILED) throw std::bad_alloc();
  }
  ~Zeros() { ::munmap(data_, kBytes); }
  Zeros(const Zeros&) = delete;
  Zeros& operator=(const Zeros&) = delete;

  torch::Tensor tensor() {
    return torch::from_blob(data_, {static_cast<int64_t>(kBytes)}, torch::kUInt8);
  }
  uint8_t* bytes() { return static_cast<uint8_t*>(data_); }

 private:
  void* data_;
};

bool has_room() {
  const auto disk = std::filesystem::space(std::filesystem::temp_directory_path()).available;
  return base::available_memory() > 6 * kGiB && disk > 6 * kGiB;
}

}  // namespace

// Takes ten seconds or more, and room, so that it is run on request alone: state_test "[large]".
TEST_CASE("A tensor of more than 4 GiB comes back bit for bit", "[.][large]") {
  if (!has_room()) {
    WARN("skipped: it needs 6 GiB of free memory, and of free space for temporary files");
    return;
  }
  Zeros saved_memory, live_memory;
  torch::Tensor saved = saved_memory.tensor(), behind = torch::arange(5);
  uint8_t mark = 1;
  for (const size_t at : {size_t{0}, 2 * kGiB - 1, 2 * kGiB, 4 * kGiB - 1, 4 * kGiB, kBytes - 1}) {
    saved_memory.bytes()[at] = mark++;
  }
  State from;
  from.add("large", saved).add("behind", behind).rng(false);
  const Saved file(from);
  torch::Tensor live = live_memory.tensor(), live_behind = torch::zeros({5}, torch::kInt64);
  live_memory.bytes()[kGiB] = 99;
  State to;
  to.add("large", live).add("behind", live_behind).rng(false);
  file.restore(to);
  CHECK(std::memcmp(saved_memory.bytes(), live_memory.bytes(), kBytes) == 0);
  CHECK(torch::equal(behind, live_behind));
}
