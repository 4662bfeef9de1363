#include "support/catch.h"
#include "support/models.h"
#include "support/temporary_directory.h"

#include <checkpoint/checkpoint.h>

#include <torch/torch.h>

#include <vector>

using namespace checkpoint;

// Hidden, because it takes all the memory of a GPU, also from other programs.
TEST_CASE("An asynchronous save of a GPU's tensors where it has no room for copies", "[.][full]") {
  constexpr int64_t kMiB = 1 << 20;
  const test::TemporaryDirectory root;
  CheckpointManager manager(root.path(), CheckpointManagerOptions().name("e{epoch}").async(true));
  torch::Tensor tensor = torch::randn({64 * kMiB}, torch::kCUDA);  // 256 MiB
  const torch::Tensor expected = tensor.cpu();
  State state;
  state.add("tensor", tensor);
  // CUDA loads a kernel when it is first used, which needs memory too.
  tensor.clone().fill_(-77);
  std::vector<torch::Tensor> ballast;
  for (int64_t bytes = 4096 * kMiB;
       bytes >= 128 * kMiB;) {  // The rest is for the driver and kernels.
    try {
      ballast.push_back(
          torch::empty({bytes}, torch::TensorOptions(torch::kCUDA).dtype(torch::kUInt8)));
    } catch (const c10::Error&) {
      bytes /= 2;
    }
  }
  REQUIRE_THROWS_AS(tensor.clone(), c10::Error);

  manager.save(state, {0});
  tensor.fill_(-77);
  manager.wait();
  manager.restore(state, "e0");
  CHECK(test::same_bits(tensor.cpu(), expected));
}
