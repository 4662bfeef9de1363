// A device in a forked child, two types of devices in one State, and generators of another version.

#include "device/simulated/simulated_device.h"
#include "device/training.h"
#include "support/catch.h"
#include "support/error_of.h"
#include "support/temporary_directory.h"

#include <checkpoint/checkpoint.h>

#include <torch/torch.h>

#include <optional>

#include <sys/wait.h>
#include <unistd.h>

using namespace checkpoint;
using simulated::Hold;
using simulated::Work;
using test::device;

namespace {

const auto kInBackground = CheckpointManagerOptions().name("e{epoch}").async(true);

}  // namespace

TEST_CASE("A forked child can end while copies from a device are in flight") {
  if (!test::has_streams()) return;
  const test::TemporaryDirectory root;
  torch::Tensor live = torch::full({1000}, 5.0).to(device());
  State state;
  state.add("live", live).rng(false);
  std::optional<CheckpointManager> manager(std::in_place, root.path(), kInBackground);
  Hold copies(Work::kCopy);
  manager->save(state, {1});
  copies.wait_until_reached();
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);
    manager.reset();  // Waits for nothing: the child has neither the thread nor the device.
    ::_exit(0);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  CHECK(status == 0);
  copies.release();
  manager->wait();
  live.fill_(0);
  manager->restore_latest(state);
  CHECK(live.cpu().eq(5).all().item<bool>());
}

TEST_CASE("Generators come back from a LibTorch whose states have another size") {
  if (!device().is_cuda()) return;
  const test::TemporaryDirectory root;
  CheckpointManager manager(root.path());
  torch::manual_seed(7);
  test::draw(5);
  State state;
  const bool begins_long = GENERATE(false, true);
  simulated::set_long_generator_states(begins_long);
  manager.save(state, {1});
  const torch::Tensor wanted = test::draw(17);
  torch::manual_seed(8);
  simulated::set_long_generator_states(!begins_long);
  manager.restore_latest(state);
  CHECK(test::same_bits(test::draw(17), wanted));
  simulated::set_long_generator_states(false);
}

TEST_CASE("Two types of devices in one State are not mixed up", "[two-types]") {
  if (simulated::kinds().size() < 2) return;
  const test::TemporaryDirectory root;
  const c10::Device first(simulated::kinds()[0].type, 0), second(simulated::kinds()[1].type, 0);
  torch::Tensor here = torch::full({1000}, 1.0).to(first);
  torch::Tensor there = torch::full({1000}, 2.0).to(second);
  torch::Tensor gaps = torch::full({10, 10}, 3.0).to(second).slice(1, 0, 5);
  State state;
  state.add("here", here).add("there", there).add("gaps", gaps).rng(false);
  CheckpointManager manager(root.path(), kInBackground);
  const bool has_room = GENERATE(true, false);
  if (!has_room) simulated::set_limit(second, 8192);
  simulated::reset_counts();
  manager.save(state, {1});
  here.fill_(-1);
  there.fill_(-1);
  gaps.fill_(-1);
  manager.wait();
  CHECK(simulated::counts().host_waits - simulated::counts().copies_awaited == 2);  // For each.
  simulated::set_limit(second, 0);
  manager.restore_latest(state);
  CHECK(here.cpu().eq(1).all().item<bool>());
  CHECK(there.cpu().eq(2).all().item<bool>());
  CHECK(gaps.cpu().eq(3).all().item<bool>());
}
