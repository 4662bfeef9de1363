// Devices and hosts that have no room: nothing is lost, and nothing is allocated that is not to be
// had.

#include "device/simulated/simulated_device.h"
#include "device/training.h"
#include "support/catch.h"
#include "support/error_of.h"
#include "support/temporary_directory.h"

#include <checkpoint/checkpoint.h>

#include <torch/torch.h>

#include <string>
#include <vector>

using namespace checkpoint;
using simulated::counts;
using test::device;
using test::EveryTensor;
using test::Training;

namespace {

const auto kNamed = CheckpointManagerOptions().name("e{epoch}");

/// Leaves no room on a device for as long as it lives.
class FullDevice {
 public:
  explicit FullDevice(size_t room = 0) {
    test::synchronize();
    simulated::set_limit(device(), counts().allocated + room);
  }
  ~FullDevice() { simulated::set_limit(device(), 0); }
};

struct NoPinnedMemory {
  NoPinnedMemory() { simulated::set_pinned_memory(false); }
  ~NoPinnedMemory() { simulated::set_pinned_memory(true); }
};

}  // namespace

TEST_CASE("Every kind of tensor is saved from a full device, without any memory there") {
  const bool async = GENERATE(false, true);
  const test::TemporaryDirectory root;
  EveryTensor live(device());
  State state = live.state();
  CheckpointManager manager(root.path(), CheckpointManagerOptions(kNamed).async(async));
  const std::vector<torch::Tensor> wanted = live.values();
  {
    const FullDevice full;
    simulated::reset_counts();
    manager.save(state, {1});
    CHECK(counts().peak == counts().allocated);
  }
  live.overwrite();  // In which LibTorch allocates.
  manager.wait();
  manager.restore_latest(state);
  CHECK(live.differing(wanted) == "");
}

TEST_CASE("Every kind of tensor is restored in place on a full device") {
  const test::TemporaryDirectory root;
  EveryTensor live(device());
  State state = live.state();
  CheckpointManager manager(root.path(), kNamed);
  const std::vector<torch::Tensor> wanted = live.values();
  manager.save(state, {1});
  live.overwrite();
  // LibTorch itself needs a new tensor for one whose elements share memory, and for a conj view a
  // kernel, which has no memory of its own.
  const FullDevice full(512);
  manager.restore_latest(state);
  simulated::set_limit(device(), 0);
  CHECK(live.differing(wanted) == "");
}

TEST_CASE("A tensor that lies otherwise than the saved one is restored on a full device") {
  const test::TemporaryDirectory root;
  CheckpointManager manager(root.path(), kNamed);
  torch::Tensor saved = torch::randn({200, 300}).to(device());
  torch::Tensor live = torch::zeros({300, 200}).to(device()).t();
  State state;
  state.add("tensor", saved).rng(false);
  manager.save(state, {1});
  State other;
  other.add("tensor", live).rng(false);
  const torch::Tensor wanted = saved.cpu();
  const void* const memory = live.data_ptr();
  {
    const FullDevice full(512);
    manager.restore_latest(other);
  }
  CHECK(test::same_bits(live.cpu().contiguous(), wanted));
  CHECK(live.data_ptr() == memory);
}

TEST_CASE("Views of one memory are taken from a full device once") {
  if (!test::has_streams()) return;
  const test::TemporaryDirectory root;
  const torch::Tensor base =
      torch::arange(100 * 100).to(torch::kFloat).reshape({100, 100}).to(device());
  State state;
  std::vector<torch::Tensor> columns = base.unbind(1);
  for (size_t i = 0; i < columns.size(); ++i) state.add("column" + std::to_string(i), columns[i]);
  state.rng(false);
  CheckpointManager manager(root.path(), CheckpointManagerOptions(kNamed).async(true));
  {
    const FullDevice full;
    const size_t pinned = counts().pinned;
    simulated::reset_counts();
    manager.save(state, {1});
    CHECK(counts().copies_to_host == 1);
    CHECK(counts().pinned - pinned <= static_cast<size_t>(base.numel()) * 4);
    manager.wait();
  }
  const torch::Tensor wanted = base.cpu().clone();
  base.fill_(0);
  manager.restore_latest(state);
  CHECK(test::same_bits(base.cpu(), wanted));
}

TEST_CASE("Tied tensors of a device are copied once, and stay tied in the file") {
  const bool has_room = GENERATE(true, false);
  const test::TemporaryDirectory root;
  torch::Tensor leaf = torch::randn({1000}).to(device());
  leaf.set_requires_grad(true);
  torch::Tensor twin = leaf.detach();
  State state;
  state.add("leaf", leaf).add("twin", twin).add("tied", leaf).rng(false);
  CheckpointManager manager(root.path(), CheckpointManagerOptions(kNamed).async(true));
  {
    const FullDevice full(has_room ? 1 << 20 : 0);
    simulated::reset_counts();
    manager.save(state, {1});
    manager.wait();
  }
  CHECK(counts().copies_to_host == 1);
  CHECK(read_manifest(root / "e1").files.front().bytes < 2 * 4000);
  const torch::Tensor wanted = leaf.detach().cpu().clone();
  leaf.detach().fill_(0);
  manager.restore_latest(state);
  CHECK(test::same_bits(leaf.detach().cpu(), wanted));
}

TEST_CASE("Without pinned memory a save is only slower") {
  const bool has_room = GENERATE(true, false);
  const test::TemporaryDirectory root;
  EveryTensor live(device());
  State state = live.state();
  CheckpointManager manager(root.path(), CheckpointManagerOptions(kNamed).async(true));
  const std::vector<torch::Tensor> wanted = live.values();
  const NoPinnedMemory no_pinned_memory;
  {
    const FullDevice full(has_room ? 1 << 20 : 0);
    manager.save(state, {1});
  }
  live.overwrite();
  manager.wait();
  manager.restore_latest(state);
  CHECK(live.differing(wanted) == "");
}

TEST_CASE("A restore onto a device without room says so, and changes nothing") {
  if (!test::can_be_moved_to()) return;
  const test::TemporaryDirectory root;
  CheckpointManager manager(root.path(), kNamed);
  Training training(torch::kCPU);
  training.train(1);
  manager.save(training.state, {1});
  Training other(torch::kCPU, 2);
  other.train(1);
  const std::vector<torch::Tensor> before = other.values();
  {
    const FullDevice full(4096);
    const std::string error = error_of(
        [&] { manager.restore_latest(other.state, RestoreOptions().map_location(device())); });
    UNSCOPED_INFO(error);
    CHECK(contains(error, "device: cannot allocate a tensor of shape "));
    CHECK(contains(error, " on " + device().str() + ": simulated device error: out of memory"));
    CHECK(contains(error, "Free memory on the device"));
  }
  CHECK(test::same_bits(other.values(), before));
  manager.restore_latest(other.state, RestoreOptions().map_location(device()));
  CHECK(test::same_bits(other.values(), training.values()));
}
