// The simulator itself: where the product's ordering is wrong, it must show.

#include "device/device_under_test.h"
#include "device/simulated/simulated_device.h"
#include "support/catch.h"
#include "support/models.h"

#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/torch.h>

using simulated::Hold;
using simulated::Work;

namespace {

torch::Tensor pinned_like(const torch::Tensor& tensor) {
  return torch::empty(tensor.sizes(),
                      torch::TensorOptions(tensor.scalar_type()).pinned_memory(true));
}

bool is_all(const torch::Tensor& tensor, double value) {
  return tensor.eq(value).all().item<bool>();
}

}  // namespace

TEST_CASE("A simulated device computes what the CPU computes", "[simulator]") {
  torch::manual_seed(3);
  const torch::Tensor a = torch::randn({20, 30}), b = torch::randn({30, 20});
  const torch::Tensor on_device = a.to(test::device()), other = b.to(test::device());
  CHECK(on_device.device() == test::device());
  CHECK(torch::allclose(on_device.mm(other).relu().cpu(), a.mm(b).relu()));
  CHECK(test::same_bits(on_device.t().contiguous().cpu(), a.t().contiguous()));
  CHECK(on_device.sum().item<double>() == a.sum().item<double>());
  CHECK_THROWS_AS(on_device + a, c10::Error);
}

TEST_CASE("The host cannot read what has not been copied yet", "[simulator]") {
  if (!test::has_streams() || !test::has_pinned_memory()) return;
  const torch::Tensor live = torch::full({1000}, 7.0).to(test::device());
  const torch::Tensor host = pinned_like(live);
  const c10::impl::VirtualGuardImpl impl(test::device().type());
  Hold copies(Work::kCopy);
  torch::Tensor to = host;
  to.copy_(live, /*non_blocking=*/true);
  CHECK_FALSE(is_all(host, 7));
  copies.release();
  impl.getStream(test::device()).synchronize();
  CHECK(is_all(host, 7));
}

TEST_CASE("Streams have no order without events", "[simulator]") {
  if (!test::has_streams()) return;
  const c10::impl::VirtualGuardImpl impl(test::device().type());
  const c10::Stream training = impl.getStream(test::device());
  const c10::Stream side = impl.getStreamFromGlobalPool(test::device(), false);
  torch::Tensor live = torch::zeros({1000}).to(test::device());
  const bool with_event = GENERATE(false, true);
  torch::Tensor copy;
  {
    Hold stopped(training);
    live.fill_(7);
    c10::Event written(test::device().type());
    written.record(training);
    if (with_event) written.block(side);
    {
      const c10::StreamGuard guard(side);
      copy = live.clone();
    }
    if (!with_event) side.synchronize();
  }
  training.synchronize();
  side.synchronize();
  CHECK(is_all(simulated::peek(copy), with_event ? 7 : 0));
}

TEST_CASE("Memory that is freed too early is overwritten", "[simulator]") {
  if (!test::has_streams()) return;
  const c10::impl::VirtualGuardImpl impl(test::device().type());
  const c10::Stream side = impl.getStreamFromGlobalPool(test::device(), false);
  torch::Tensor live = torch::full({1000}, 7.0).to(test::device());
  torch::Tensor copy = torch::zeros({1000}).to(test::device());
  const bool recorded = GENERATE(false, true);
  {
    Hold stopped(side);
    {
      const c10::StreamGuard guard(side);
      copy.copy_(live);
    }
    if (recorded) impl.recordDataPtrOnStream(live.storage().data_ptr(), side);
    live = torch::Tensor();
    impl.getStream(test::device()).synchronize();
  }
  side.synchronize();
  CHECK(is_all(simulated::peek(copy), 7) == recorded);
}

TEST_CASE("A copy of a tensor with gaps takes memory on the device", "[simulator]") {
  const torch::Tensor live = torch::zeros({100, 100}).to(test::device());
  simulated::set_limit(test::device(), simulated::counts().allocated);
  CHECK_NOTHROW(live.cpu());
  CHECK_NOTHROW(live.t().cpu());
  CHECK_THROWS_AS(live.slice(1, 0, 50).cpu(), c10::OutOfMemoryError);
  CHECK_THROWS_AS(live.clone(), c10::OutOfMemoryError);
  simulated::set_limit(test::device(), 0);
  CHECK_NOTHROW(live.clone());
}

TEST_CASE("Calls fail on order", "[simulator]") {
  torch::Tensor live = torch::zeros({100}).to(test::device());
  simulated::arm(simulated::Call::kKernel, 1, simulated::Fault::kNow);
  live.fill_(1);
  CHECK_THROWS_AS(live.fill_(2), c10::Error);
  CHECK(simulated::has_struck());
  CHECK(is_all(live.cpu(), 1));

  simulated::arm(simulated::Call::kKernel, 0, simulated::Fault::kLater);
  live.fill_(3);
  CHECK_THROWS_AS(live.cpu(), c10::Error);
  CHECK(is_all(live.cpu(), 1));

  simulated::arm(simulated::Call::kCopy, 0, simulated::Fault::kLost);
  CHECK_THROWS_AS(live.cpu(), c10::Error);
  CHECK_THROWS_AS(live.fill_(4), c10::Error);
  simulated::heal();
  CHECK(is_all(live.cpu(), 1));
}
