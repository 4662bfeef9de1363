// A device fails: each of its calls, in each way, in each operation. docs/devices.md says what must
// hold afterwards.

#include "device/simulated/simulated_device.h"
#include "device/training.h"
#include "support/catch.h"
#include "support/error_of.h"
#include "support/sanitized.h"
#include "support/temporary_directory.h"

#include <checkpoint/checkpoint.h>

#include <torch/torch.h>

#include <cstdio>
#include <functional>
#include <string>
#include <utility>
#include <vector>

using namespace checkpoint;
using simulated::Call;
using simulated::Fault;
using test::device;
using test::EveryTensor;
using test::Training;

namespace {

const auto kByEpoch = CheckpointManagerOptions().name("e{epoch}");

// A sanitizer takes twenty times as long, and looks for what is wrong with the memory.
constexpr size_t kEvery = test::kSanitized ? 4 : 1;

/// Calls that fail, for as long as it lives.
struct Failing {
  Failing(Call kind, size_t index, Fault fault = Fault::kNow) {
    simulated::arm(kind, index, fault);
  }
  ~Failing() {
    simulated::heal();
    test::synchronize();
  }
};

/// A training whose tensors are all of one value, so that a mixture shows.
struct Live {
  explicit Live(c10::Device where) : training(where) {
    training.train(1);
    training.state.add("gaps", gaps).add("conj", conj);
    if (!where.is_cpu()) {
      base = base.to(where);
      gaps = base.slice(1, 3, 9);
      conj = conj.to(where).conj();
    }
  }
  std::vector<torch::Tensor> tensors() {
    std::vector<torch::Tensor> all = training.tensors();
    all.push_back(gaps);
    all.push_back(conj);
    return all;
  }
  void fill(double value) {
    const torch::NoGradGuard no_grad;
    for (torch::Tensor& tensor : tensors()) tensor.fill_(value);
  }
  bool is_all(double value) {
    for (const torch::Tensor& tensor : tensors()) {
      const torch::Tensor host = tensor.detach().cpu().resolve_conj();
      if (!host.eq(value).all().item<bool>()) return false;
    }
    return true;
  }

  Training training;
  torch::Tensor base = torch::zeros({20, 30});
  torch::Tensor gaps = base.slice(1, 3, 9);
  torch::Tensor conj = torch::zeros({5}, torch::kComplexFloat);
};

// What each operation finds: e1 is saved, with all values 1.
struct World {
  explicit World(c10::Device where, bool async)
      : manager(root.path(), CheckpointManagerOptions(kByEpoch).async(async).keep_last(3)),
        live(where) {
    live.fill(1);
    manager.save(live.training.state, {1});
    manager.wait();
  }
  ~World() { simulated::set_limit(device(), 0); }

  const test::TemporaryDirectory root;
  CheckpointManager manager;
  Live live;
};

struct Operation {
  const char* name;
  bool on_device;  // Where the live tensors are before.
  bool async;
  bool has_room;
  bool restores;
  bool calls_device;
  std::function<void(World&)> act;
};

void save(World& world) {
  world.manager.save(world.live.training.state, {2});
  world.manager.wait();
}

void restore(World& world, const RestoreOptions& options = {}) {
  world.manager.restore_latest(world.live.training.state, options);
}

std::vector<Operation> operations() {
  const auto in_place = [](World& world) { restore(world); };
  const auto onto_device = [](World& world) {
    restore(world, RestoreOptions().map_location(device()));
  };
  const auto to_cpu = [](World& world) {
    restore(world, RestoreOptions().map_location(torch::kCPU));
  };
  std::vector<Operation> all = {
      // name, on_device, async, has_room, restores, calls_device
      {"save", true, false, true, false, true, save},
      {"save, no room", true, false, false, false, true, save},
      {"asynchronous save", true, true, true, false, true, save},
      {"asynchronous save, no room", true, true, false, false, true, save},
      {"restore in place", true, false, true, true, true, in_place},
      {"restore in place, no room", true, false, false, true, true, in_place},
      {"restore into a State on the CPU", false, false, true, true, false, in_place},
  };
  if (test::can_be_moved_to()) {
    all.push_back({"map_location onto the device", false, false, true, true, true, onto_device});
    all.push_back({"map_location to the CPU", true, false, true, true, false, to_cpu});
  }
  return all;
}

/// Tries one operation with one fault. Returns what is wrong; empty if all is well.
std::string try_fault(const Operation& operation, size_t index, Fault fault, bool* struck) {
  World world(operation.on_device ? device() : c10::Device(torch::kCPU), operation.async);
  world.live.fill(operation.restores ? 3 : 2);
  test::synchronize();
  if (!operation.has_room) simulated::set_limit(device(), simulated::counts().allocated + 512);
  std::string said;
  simulated::arm(index, fault);
  try {
    operation.act(world);
  } catch (const Error& error) {
    said = error.what();
    if (error.code() != ErrorCode::kDevice) said = "not ErrorCode::kDevice: " + said;
  } catch (const std::exception& error) {
    simulated::heal();
    test::synchronize();
    return std::string("not a checkpoint::Error: ") + error.what();
  }
  *struck = simulated::has_struck();
  simulated::heal();
  test::synchronize();
  simulated::set_limit(device(), 0);
  if (said.rfind("not ErrorCode", 0) == 0) return said;
  if (said.find("frame #") != std::string::npos) return "a backtrace: " + said;

  Live& live = world.live;
  if (operation.restores) {
    const bool is_whole = live.is_all(1) || live.is_all(3);
    if (said.empty() && !live.is_all(1)) return "no error, and not what was saved";
    if (!said.empty() && !is_whole && said.find("must not be used") == std::string::npos) {
      return "half restored, and the error does not say so: " + said;
    }
  } else {
    if (!live.is_all(2)) return "the live state has changed";
    const bool is_there = world.manager.list().size() == 2;
    if (said.empty() != is_there) return "the checkpoint and the result differ: " + said;
  }
  // The newest that is there restores, and the next save works.
  const double newest = !operation.restores && said.empty() ? 2 : 1;
  live.fill(4);
  restore(world);
  if (!live.is_all(newest)) return "the newest checkpoint does not restore";
  live.fill(5);
  world.manager.save(live.training.state, {5});
  world.manager.wait();
  live.fill(6);
  restore(world);
  if (!live.is_all(5)) return "the next save is wrong";
  return {};
}

}  // namespace

TEST_CASE("Whatever call of a device fails, nothing is lost", "[device-matrix]") {
  int states = 0;
  for (const Operation& operation : operations()) {
    int of_this = 0;
    for (const Fault fault : {Fault::kNow, Fault::kLater, Fault::kLost}) {
      bool struck = true;
      for (size_t index = 0; struck; index += kEvery) {
        struck = false;
        const std::string wrong = try_fault(operation, index, fault, &struck);
        if (!wrong.empty()) {
          FAIL_CHECK(operation.name << ": call " << index << " " << simulated::name_of(fault)
                                    << ": " << wrong);
        }
        of_this += struck ? 1 : 0;
      }
    }
    std::printf("%-45s %4d device fault states\n", operation.name, of_this);
    CHECK((of_this > 0) == operation.calls_device);
    states += of_this;
  }
  std::printf("%-45s %4d device fault states\n", "all", states);
}

TEST_CASE("Whatever call of a device fails, single files are whole", "[device-matrix]") {
  const test::TemporaryDirectory root;
  EveryTensor live(device());
  Dict dict;
  for (const auto& [name, tensor] : live.tensors) dict.insert(name, tensor);
  const std::vector<torch::Tensor> wanted = live.values();
  const Value value(dict);
  int states = 0;
  const auto try_all = [&](const std::function<void()>& act,
                           const std::function<bool()>& is_right) {
    for (const Fault fault : {Fault::kNow, Fault::kLater, Fault::kLost}) {
      bool struck = true;
      for (size_t index = 0; struck; index += kEvery) {
        simulated::arm(index, fault);
        const std::string error = error_of(act);
        struck = simulated::has_struck();
        simulated::heal();
        test::synchronize();
        UNSCOPED_INFO("call " << index << " " << simulated::name_of(fault) << ": " << error);
        CHECK((error.empty() || error.rfind("device: ", 0) == 0));
        CHECK(is_right());
        states += struck ? 1 : 0;
      }
    }
  };
  for (const std::string name : {"all.pt", "all.pth"}) {
    const std::string path = root / name;
    checkpoint::save(value, path);
    const auto is_whole = [&] {
      const Value back = load(path);
      for (size_t i = 0; i < wanted.size(); ++i) {
        const torch::Tensor tensor = back.dict().at(live.tensors[i].first).to_tensor();
        if (!test::same_bits(tensor.detach().cpu().contiguous(), wanted[i])) return false;
      }
      return true;
    };
    try_all([&] { checkpoint::save(value, path); }, is_whole);
    try_all([&] { load(path, LoadOptions().map_location(device())); }, is_whole);
  }
  std::printf("%-45s %4d device fault states\n", "save and load of single files", states);
  CHECK(states > (test::kSanitized ? 25 : 100));
}

TEST_CASE("Whatever call of a device fails, its generator is as it was or as it was saved") {
  if (!test::has_generator()) return;
  const test::TemporaryDirectory root;
  CheckpointManager manager(root.path(), kByEpoch);
  Training training(device());
  training.state.rng(true);
  test::draw(5);
  manager.save(training.state, {1});
  const torch::Tensor saved = test::draw(5);
  size_t index = 0;
  for (bool struck = true; struck; ++index) {
    torch::manual_seed(99);
    const torch::Tensor other = test::draw(5);
    torch::manual_seed(99);
    simulated::arm(index, Fault::kNow);
    const std::string error = error_of([&] { manager.restore_latest(training.state); });
    struck = simulated::has_struck();
    simulated::heal();
    test::synchronize();
    const torch::Tensor drawn = test::draw(5);
    CHECK((test::same_bits(drawn, saved) || (!error.empty() && test::same_bits(drawn, other))));
  }
  CHECK(index > 5);
}

// --- The faults that the simulator's prototype found, each in a form that a user would meet.

TEST_CASE("An asynchronous save on a full device takes a view with gaps") {
  const test::TemporaryDirectory root;
  const torch::Tensor base = torch::arange(200000, torch::kFloat).reshape({1000, 200}).to(device());
  torch::Tensor gaps = base.slice(1, 0, 100);
  const torch::Tensor wanted = gaps.cpu().clone();
  State state;
  state.add("gaps", gaps).rng(false);
  CheckpointManager manager(root.path(), CheckpointManagerOptions(kByEpoch).async(true));
  simulated::set_limit(device(), simulated::counts().allocated);
  CHECK(error_of([&] {
          manager.save(state, {1});
          manager.wait();
        }) == "");
  simulated::set_limit(device(), 0);
  gaps.fill_(0);
  manager.restore_latest(state);
  CHECK(test::same_bits(gaps.cpu(), wanted));
}

TEST_CASE("An empty tensor of a device is a CPU tensor in an asynchronous save's file") {
  const test::TemporaryDirectory root;
  torch::Tensor empty = torch::empty({0, 3}, torch::TensorOptions().device(device()));
  State state;
  state.add("empty", empty).rng(false);
  CheckpointManager manager(root.path(), CheckpointManagerOptions(kByEpoch).async(true));
  manager.save(state, {1});
  manager.wait();
  torch::serialize::InputArchive archive;
  archive.load_from(root / "e1/checkpoint.pt");
  c10::IValue read;
  archive.read("empty", read);
  CHECK(read.toTensor().device().is_cpu());
}

TEST_CASE("What a device fails is an Error of its own code, without a backtrace") {
  const bool async = GENERATE(false, true);
  const test::TemporaryDirectory root;
  CheckpointManager manager(root.path(), CheckpointManagerOptions(kByEpoch).async(async));
  Training training(device());
  manager.save(training.state, {1});
  manager.wait();
  const Failing failing(Call::kCopy, 1);
  const std::string error = error_of([&] {
    manager.save(training.state, {2});
    manager.wait();
  });
  CHECK(contains(error, "device: cannot copy "));
  CHECK(
      contains(error, "from " + device().str() + ": simulated device error: copy. If the device"));
  CHECK_FALSE(contains(error, "frame #"));
  CHECK(manager.list().size() == 1);
}

TEST_CASE("A device's hiccup does not make restore_latest choose an older checkpoint") {
  const test::TemporaryDirectory root;
  CheckpointManager manager(root.path(), kByEpoch);
  Training training(device());
  training.train(1);
  manager.save(training.state, {1});
  training.train(1);
  const std::vector<torch::Tensor> newest = training.values();
  manager.save(training.state, {2});
  training.overwrite();
  {
    const Failing failing(Call::kCopy, 1, GENERATE(Fault::kNow, Fault::kLater));
    const std::string error = error_of([&] { manager.restore_latest(training.state); });
    CHECK(
        contains(error, "device: a device failed when part of the live state was already written"));
    CHECK(contains(error, "Restore again, or start the program again. The checkpoint is intact."));
  }
  const auto restored = manager.restore_latest(training.state);
  CHECK(restored->name() == "e2");
  CHECK(test::same_bits(training.values(), newest));
}

TEST_CASE("A device that is full in the middle of a plan is not a mismatch") {
  if (!test::can_be_moved_to()) return;
  const test::TemporaryDirectory root;
  CheckpointManager manager(root.path(), kByEpoch);
  Training training(torch::kCPU);
  training.train(1);
  manager.save(training.state, {1});
  const std::vector<torch::Tensor> before = training.values();
  for (size_t allocation = 0; allocation < 10; ++allocation) {
    const Failing failing(Call::kAllocate, allocation);
    const std::string error = error_of([&] {
      manager.restore_latest(training.state,
                             RestoreOptions().map_location(device()).strict(Strict::kNo));
    });
    CHECK(contains(error, "device: cannot allocate "));
    CHECK(test::same_bits(training.values(), before));
  }
}

TEST_CASE("A tensor that map_location moves loses its gradient, which was on the old device") {
  if (!test::can_be_moved_to()) return;
  const test::TemporaryDirectory root;
  CheckpointManager manager(root.path(), kByEpoch);
  Training training(torch::kCPU);
  training.train(1);
  manager.save(training.state, {1});
  CHECK(training.net->first.grad().defined());
  manager.restore_latest(training.state, RestoreOptions().map_location(torch::kCPU));
  CHECK(training.net->first.grad().defined());
  manager.restore_latest(training.state, RestoreOptions().map_location(device()));
  CHECK_FALSE(training.net->first.grad().defined());
  training.x = training.x.to(device());
  training.train(1);
  CHECK(training.net->first.grad().device() == device());
}
