// What holds on every device, simulated or real.

#include "device/training.h"
#include "ranks/ranks.h"
#include "support/catch.h"
#include "support/error_of.h"
#include "support/temporary_directory.h"

#include <checkpoint/checkpoint.h>

#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/torch.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

using namespace checkpoint;
using test::device;
using test::EveryTensor;
using test::Training;

namespace {

CheckpointManagerOptions options(bool async, Format format = Format::kArchive) {
  return CheckpointManagerOptions().name("e{epoch}").async(async).format(format);
}

}  // namespace

TEST_CASE("A training on a device is saved and restored") {
  const bool async = GENERATE(false, true);
  const Format format = GENERATE(Format::kArchive, Format::kPth);
  const test::TemporaryDirectory root;
  CheckpointManager manager(root.path(), options(async, format));
  Training training(device());
  training.train(3);
  const std::vector<torch::Tensor> wanted = training.values();
  manager.save(training.state, {1});
  training.train(2);
  CHECK_FALSE(test::same_bits(training.values(), wanted));
  manager.wait();

  manager.restore_latest(training.state);
  CHECK(test::same_bits(training.values(), wanted));
  Training fresh(device(), 2);
  manager.restore_latest(fresh.state);
  CHECK(test::same_bits(fresh.values(), wanted));
  CHECK(fresh.net->first.device() == device());
  CHECK(fresh.tensors().back().device() == device());
  Training on_cpu(torch::kCPU, 3);
  manager.restore_latest(on_cpu.state);
  CHECK(test::same_bits(on_cpu.values(), wanted));
  CHECK(on_cpu.net->first.device().is_cpu());
}

TEST_CASE("Every kind of tensor on a device may change when a save has returned") {
  const bool async = GENERATE(false, true);
  const test::TemporaryDirectory root;
  EveryTensor live(device());
  State state = live.state();
  CheckpointManager manager(root.path(), options(async));
  for (int64_t epoch = 0; epoch < 2; ++epoch) {
    const std::vector<torch::Tensor> wanted = live.values();
    manager.save(state, {epoch});
    live.overwrite();
    manager.wait();
    manager.restore_latest(state);
    CHECK(live.differing(wanted) == "");
  }
  manager.verify("e1");
}

TEST_CASE("A checkpoint holds CPU tensors alone, which plain LibTorch reads") {
  const bool async = GENERATE(false, true);
  const test::TemporaryDirectory root;
  EveryTensor live(device());
  State state = live.state();
  CheckpointManager manager(root.path(), options(async));
  manager.save(state, {1});
  manager.wait();
  torch::serialize::InputArchive archive;
  archive.load_from(root / "e1/checkpoint.pt");
  for (const auto& [name, tensor] : live.tensors) {
    INFO(name);
    c10::IValue read;
    archive.read(name, read);
    CHECK(read.toTensor().device().is_cpu());
    CHECK(read.toTensor().sizes() == tensor.sizes());
  }
  Manifest manifest = read_manifest(root / "e1");
  CHECK(manifest.progress.epoch == 1);
}

TEST_CASE("Several ranks save one checkpoint from a device, and restore it") {
  const bool async = GENERATE(false, true);
  const int restoring = GENERATE(1, 2, 3);
  const test::TemporaryDirectory root;
  const auto make = [](int seed, int count) {
    std::vector<std::unique_ptr<EveryTensor>> lives;
    for (int rank = 0; rank < count; ++rank) {
      torch::manual_seed(seed);
      lives.push_back(std::make_unique<EveryTensor>(device()));
      // Large enough to be cut.
      const torch::Tensor large = torch::arange(700000, torch::kFloat).view({700, 1000}) + seed;
      lives.back()->add("large", large.to(device()));
      lives.back()->add("first_rows", lives.back()->tensors.back().second.slice(0, 0, 300));
    }
    return lives;
  };
  const auto saved = make(1, 2);
  const std::vector<torch::Tensor> wanted = saved[0]->values();
  const auto savers = test::coordinators(2);
  const auto errors = test::run_ranks(2, [&](int rank) {
    EveryTensor& live = *saved[static_cast<size_t>(rank)];
    const State state = live.state();
    CheckpointManager manager(root.path(),
                              options(async).coordinator(savers[static_cast<size_t>(rank)]));
    manager.save(state, {1});
    live.overwrite();
    manager.wait();
  });
  REQUIRE(errors == test::no_errors(2));

  const auto live = make(2, restoring);
  const auto restorers = test::coordinators(restoring);
  CHECK(test::run_ranks(restoring, [&](int rank) {
          State state = live[static_cast<size_t>(rank)]->state();
          CheckpointManager(root.path(),
                            options(false).coordinator(restorers[static_cast<size_t>(rank)]))
              .restore_latest(state);
        }) == test::no_errors(restoring));
  for (const auto& one : live) CHECK(one->differing(wanted) == "");
}

TEST_CASE("Training on a stream of its own, and the save on it too") {
  if (!test::has_streams()) return;
  const test::TemporaryDirectory root;
  CheckpointManager manager(root.path(), options(true));
  const c10::impl::VirtualGuardImpl impl(device().type());
  const c10::Stream own = impl.getStreamFromGlobalPool(device(), false);
  torch::Tensor live = torch::zeros({100000}).to(device());
  test::synchronize();
  State state;
  state.add("live", live).rng(false);
  const c10::StreamGuard guard(own);
  for (int64_t epoch = 1; epoch <= 3; ++epoch) {
    live.fill_(epoch);
    manager.save(state, {epoch});
    live.fill_(-1);
    manager.wait();
    manager.restore_latest(state);
    CHECK(live.cpu().eq(epoch).all().item<bool>());
  }
}

TEST_CASE("map_location moves to a device and back") {
  const test::TemporaryDirectory root;
  CheckpointManager manager(root.path(), options(false));
  Training training(torch::kCPU);
  training.train(2);
  const std::vector<torch::Tensor> wanted = training.values();
  manager.save(training.state, {1});
  Training moved(torch::kCPU, 2);
  moved.train(1);
  const c10::Device last = device(test::device_count() - 1);

  if (!test::can_be_moved_to()) {
    const std::vector<torch::Tensor> before = moved.values();
    const std::string error =
        error_of([&] { manager.restore_latest(moved.state, RestoreOptions().map_location(last)); });
    CHECK(contains(error, "incompatible: "));
    CHECK(contains(error, "LibTorch cannot move a tensor in place from cpu to " + last.str()));
    CHECK(test::same_bits(moved.values(), before));
    return;
  }
  manager.restore_latest(moved.state, RestoreOptions().map_location(last));
  CHECK(test::same_bits(moved.values(), wanted));
  for (const torch::Tensor& tensor : moved.tensors()) CHECK(tensor.device() == last);
  moved.x = moved.x.to(last);
  moved.train(1);
  const std::vector<torch::Tensor> trained = moved.values();
  manager.save(moved.state, {2});

  manager.restore_latest(
      moved.state, RestoreOptions().map_location(
                       std::map<std::string, c10::Device>{{last.str(), c10::Device(torch::kCPU)}}));
  CHECK(test::same_bits(moved.values(), trained));
  for (const torch::Tensor& tensor : moved.tensors()) CHECK(tensor.device().is_cpu());
}

TEST_CASE("A device that this machine does not have is named, and nothing changes") {
  const test::TemporaryDirectory root;
  CheckpointManager manager(root.path(), options(false));
  Training training(device());
  manager.save(training.state, {1});
  const std::vector<torch::Tensor> before = training.values();
  const c10::Device missing = device(99);
  const std::string error = error_of(
      [&] { manager.restore_latest(training.state, RestoreOptions().map_location(missing)); });
  CHECK(contains(error, "incompatible: the tensor 'model.first' must go to " + missing.str() +
                            ", but this machine does not have that device"));
  CHECK(test::same_bits(training.values(), before));
}

TEST_CASE("Single files hold tensors of a device") {
  const test::TemporaryDirectory root;
  Training training(device());
  training.train(1);
  const std::string name = GENERATE(as<std::string>(), "w.safetensors", "w.pth", "w.pt");
  INFO(name);
  checkpoint::save(state_dict(*training.net), root / name);
  const Value back = load(root / name);
  const Value there = load(root / name, LoadOptions().map_location(device()));
  for (const auto& parameter : training.net->named_parameters()) {
    const torch::Tensor here = back.dict().at(parameter.key()).to_tensor();
    CHECK(test::same_bits(here.cpu(), parameter.value().detach().cpu()));
    const torch::Tensor moved = there.dict().at(parameter.key()).to_tensor();
    CHECK(moved.device() == device());
    CHECK(test::same_bits(moved.detach().cpu(), parameter.value().detach().cpu()));
  }
  Training fresh(device(), 2);
  load_state_dict(*fresh.net, root / name);
  CHECK(test::same_bits(fresh.net->parameters(), training.net->parameters()));
}

TEST_CASE("state_dicts in memory go from device to device and to the host") {
  Training from(device()), to(device(test::device_count() - 1), 2), on_cpu(torch::kCPU, 3);
  const StateDict weights = state_dict(*from.net);
  load_state_dict(*to.net, weights);
  load_state_dict(*on_cpu.net, weights);
  CHECK(test::same_bits(to.net->parameters(), from.net->parameters()));
  CHECK(test::same_bits(on_cpu.net->parameters(), from.net->parameters()));
}

TEST_CASE("A device's generator comes back") {
  if (!test::has_generator()) return;
  const test::TemporaryDirectory root;
  CheckpointManager manager(root.path(), options(false));
  torch::manual_seed(7);
  test::draw(5);
  State state;
  manager.save(state, {1});
  const torch::Tensor wanted = test::draw(17), wanted_on_cpu = torch::randn({17});
  test::draw(3);
  manager.restore_latest(state);
  CHECK(test::same_bits(test::draw(17), wanted));
  CHECK(test::same_bits(torch::randn({17}), wanted_on_cpu));
}

TEST_CASE("Several managers save the same training at once") {
  const test::TemporaryDirectory root;
  CheckpointManager one(root / "one", options(true)), other(root / "other", options(true));
  Training training(device());
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    training.train(1);
    const std::vector<torch::Tensor> wanted = training.values();
    one.save(training.state, {epoch});
    other.save(training.state, {epoch});
    training.overwrite();
    one.wait();
    other.wait();
    one.restore_latest(training.state);
    CHECK(test::same_bits(training.values(), wanted));
    training.overwrite();
    other.restore_latest(training.state);
    CHECK(test::same_bits(training.values(), wanted));
  }
}

// Hidden: it needs a process of its own, because the other tests use the devices.
TEST_CASE("Saving and restoring what is on the CPU uses no device", "[.][no-context]") {
  const test::TemporaryDirectory root;
  CheckpointManager manager(root.path());
  torch::Tensor live = torch::zeros({3});
  State state;
  state.add("live", live);
  manager.save(state, {1});
  manager.restore_latest(state);
  CHECK_FALSE(test::in_use(device()));
}
