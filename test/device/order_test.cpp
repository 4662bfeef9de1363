// Who waits for whom in an asynchronous save. Streams are held and released, so that the order in
// which things happen is chosen.

#include "device/simulated/simulated_device.h"
#include "device/training.h"
#include "support/catch.h"
#include "support/temporary_directory.h"

#include <checkpoint/checkpoint.h>

#include <c10/core/Stream.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/torch.h>

#include <cstddef>
#include <thread>
#include <vector>

using namespace checkpoint;
using simulated::Counts;
using simulated::counts;
using simulated::Hold;
using simulated::Work;
using test::device;
using test::Training;

namespace {

const auto kAsync = CheckpointManagerOptions().name("e{epoch}").async(true);

c10::Stream current_stream() {
  return c10::impl::VirtualGuardImpl(device().type()).getStream(device());
}

/// A tensor on the device, all 5, in a State, and a manager that has saved once.
struct Setting {
  Setting() : live(torch::full({1000}, 5.0).to(device())), manager(root.path(), kAsync) {
    state.add("live", live).rng(false);
    manager.save(state, {0});
    manager.wait();
    simulated::reset_counts();
  }
  /// Leaves no room on the device.
  void fill_device() { simulated::set_limit(device(), counts().allocated); }
  ~Setting() { simulated::set_limit(device(), 0); }

  /// The value that the newest checkpoint has.
  double saved() {
    torch::Tensor restored = torch::zeros({1000}, torch::kDouble);
    if (live.scalar_type() != torch::kDouble) restored = restored.to(live.scalar_type());
    State into;
    into.add("live", restored).rng(false);
    manager.restore_latest(into);
    REQUIRE(restored.eq(restored[0]).all().item<bool>());
    return restored[0].item<double>();
  }
  double on_device() { return simulated::peek(live)[0].item<double>(); }

  const test::TemporaryDirectory root;
  torch::Tensor live;
  State state;
  CheckpointManager manager;
};

}  // namespace

TEST_CASE("A save returns before any copy to the host, and nobody waits for one") {
  if (!test::has_streams()) return;
  Setting now;
  Hold copies(Work::kCopy);
  now.manager.save(now.state, {1});
  const Counts at_return = simulated::counts_of_this_thread();
  CHECK(at_return.host_waits == 0);
  CHECK(at_return.copies_to_host == 0);

  now.live.fill_(-1);
  copies.wait_until_reached();
  current_stream().synchronize();  // Training goes on, while the copies to the host are held.
  CHECK(now.on_device() == -1);
  CHECK_FALSE(now.manager.last_save().done());
  copies.release();
  now.manager.wait();
  CHECK(now.saved() == 5);
}

TEST_CASE("The background waits once for each device, whatever the number of tensors") {
  if (!test::has_streams()) return;
  const test::TemporaryDirectory root;
  CheckpointManager manager(root.path(), kAsync);
  Training training(device());
  training.train(2);
  manager.save(training.state, {0});
  manager.wait();
  simulated::reset_counts();
  manager.save(training.state, {1});
  CHECK(simulated::counts_of_this_thread().host_waits == 0);
  manager.wait();
  const Counts all = counts();
  CHECK(all.copies_to_host >= training.tensors().size());
  CHECK(all.host_waits - all.copies_awaited == 1);
  CHECK((all.copies_awaited == 0 || !test::has_pinned_memory()));
  CHECK(all.events_recorded == 1);
  CHECK(all.stream_waits == 1);
}

TEST_CASE("What training has queued is saved, and what it queues later is not") {
  if (!test::has_streams()) return;
  Setting now;
  Hold training(current_stream());
  now.live.fill_(6);
  now.manager.save(now.state, {1});  // The host does not wait for the stream that is held.
  now.live.fill_(7);
  while (counts().copies_to_host == 0) std::this_thread::yield();
  simulated::settle();  // The copies to the host would have come, if they did not wait.
  CHECK(now.on_device() == 5);
  CHECK_FALSE(now.manager.last_save().done());
  training.release();
  now.manager.wait();
  CHECK(now.saved() == 6);
}

TEST_CASE(
    "Without room on the device, training's stream waits for the copy, and the host does not") {
  if (!test::has_streams() || !test::has_pinned_memory()) return;
  Setting now;
  now.fill_device();
  {
    Hold training(current_stream());
    now.live.fill_(6);
    now.manager.save(now.state, {1});
    CHECK(simulated::counts_of_this_thread().host_waits == 0);
    CHECK(simulated::counts_of_this_thread().copies_to_host == 1);
    simulated::settle();  // The copy would have come, if it did not wait for training.
    Hold copies(Work::kCopy);
    now.live.fill_(7);
    training.release();
    copies.wait_until_reached();
    CHECK(now.on_device() == 6);
    copies.release();
  }
  now.manager.wait();
  simulated::set_limit(device(), 0);
  CHECK(now.saved() == 6);
  current_stream().synchronize();
  CHECK(now.on_device() == 7);
}

TEST_CASE("The live tensors may be freed when a save has returned") {
  if (!test::has_streams()) return;
  const bool has_room = GENERATE(true, false);
  Setting now;
  if (!has_room) now.fill_device();
  if (!has_room && !test::has_pinned_memory()) return;
  Hold copies(Work::kCopy);
  now.manager.save(now.state, {1});
  now.state = State();
  now.live = torch::Tensor();
  copies.wait_until_reached();
  copies.release();
  now.manager.wait();
  simulated::set_limit(device(), 0);
  now.live = torch::zeros({1000});
  CHECK(now.saved() == 5);
}

TEST_CASE("The copies on the device are given back as soon as they are on the host") {
  if (!test::has_streams()) return;
  Setting now;
  const Counts before = counts();
  Hold copies(Work::kCopy);
  now.manager.save(now.state, {1});
  CHECK(counts().allocated > before.allocated);
  copies.release();
  now.manager.wait();
  CHECK(counts().allocated == before.allocated);
  CHECK(counts().pinned == before.pinned);
}

TEST_CASE("A save on two devices waits for neither") {
  if (!test::has_streams() || test::device_count() < 2) return;
  const test::TemporaryDirectory root;
  torch::Tensor first = torch::full({1000}, 1.0).to(device(0));
  torch::Tensor second = torch::full({2000}, 2.0).to(device(1));
  State state;
  state.add("first", first).add("second", second).rng(false);
  CheckpointManager manager(root.path(), kAsync);
  Hold copies(Work::kCopy);
  simulated::reset_counts();
  manager.save(state, {1});
  CHECK(simulated::counts_of_this_thread().host_waits == 0);
  first.fill_(-1);
  second.fill_(-1);
  copies.release();
  manager.wait();
  manager.restore_latest(state);
  CHECK(first.cpu().eq(1).all().item<bool>());
  CHECK(second.cpu().eq(2).all().item<bool>());
}
