#include "catch.h"
#include "models.h"
#include "state/round_trip.h"

#include "format/archive_reader.h"
#include "state/restore.h"
#include "store/verify.h"

using namespace checkpoint;
using test::Net;
using test::same_bits;
using test::Saved;

namespace {

const c10::Device kCpu(c10::kCPU), kCuda0(c10::kCUDA, 0), kCuda1(c10::kCUDA, 1);

// Restores a checkpoint as if its tensors had lived on a CUDA device, which the table tells.
void restore_as_from_cuda(const Saved& file, State& state, const RestoreOptions& options) {
  const store::VerifiedCheckpoint checkpoint =
      store::verify_checkpoint(store::posix_file_system(), file.path());
  store::TensorTable table = checkpoint.tensor_table();
  for (store::TensorEntry& tensor : table.tensors) {
    if (tensor.key.rfind("model.", 0) == 0) tensor.device = "cuda:1";
  }
  const store::File& archive = checkpoint.file("checkpoint.pt");
  state::restore(state, checkpoint.manifest, table, archive, format::read_archive(archive),
                 options);
}

}  // namespace

TEST_CASE("Which device a tensor goes to") {
  CHECK(MapLocation().device_for(kCuda0, kCpu) == kCpu);
  CHECK(MapLocation(kCuda1).device_for(kCuda0, kCpu) == kCuda1);
  CHECK(MapLocation(torch::kCPU).device_for(kCuda0, kCuda1) == kCpu);
  const MapLocation map(std::map<std::string, c10::Device>{{"cuda:0", kCuda1}});
  CHECK(map.device_for(kCuda0, kCpu) == kCuda1);
  CHECK(map.device_for(kCpu, kCuda0) == kCuda0);
  const MapLocation function([](const c10::Device& saved) -> std::optional<c10::Device> {
    if (saved.is_cuda()) return c10::Device(c10::kCPU);
    return std::nullopt;
  });
  CHECK(function.device_for(kCuda1, kCuda0) == kCpu);
  CHECK(function.device_for(kCpu, kCuda0) == kCuda0);
}

TEST_CASE("A CUDA checkpoint restores on a machine without CUDA, with and without map_location") {
  Net saved;
  torch::optim::Adam optimizer(saved->parameters(), torch::optim::AdamOptions(0.01));
  test::train(saved, optimizer, 2);
  State from;
  from.add("model", saved).add("optimizer", optimizer);
  const Saved file(from);

  Net live;
  torch::optim::Adam live_optimizer(live->parameters(), torch::optim::AdamOptions(0.5));
  State to;
  to.add("model", live).add("optimizer", live_optimizer);
  SECTION("none: the live tensors' devices win") { restore_as_from_cuda(file, to, {}); }
  SECTION("one device") {
    restore_as_from_cuda(file, to, RestoreOptions().map_location(torch::kCPU));
  }
  SECTION("a map") {
    restore_as_from_cuda(
        file, to,
        RestoreOptions().map_location(std::map<std::string, c10::Device>{{"cuda:1", kCpu}}));
  }
  SECTION("a function, which hears where each tensor was") {
    int from_cuda = 0;
    restore_as_from_cuda(file, to, RestoreOptions().map_location([&](const c10::Device& device) {
      from_cuda += device == kCuda1 ? 1 : 0;
      return kCpu;
    }));
    CHECK(from_cuda == static_cast<int>(saved->parameters().size() + saved->buffers().size()));
  }
  CHECK(same_bits(*saved, *live));
}

TEST_CASE("A device that the machine lacks is an error, and nothing has changed") {
  if (torch::cuda::is_available()) {
    WARN("skipped: there is a CUDA device");
    return;
  }
  Net saved, live;
  State from, to;
  from.add("model", saved);
  to.add("model", live);
  const Saved file(from);
  const auto before = test::copies_of(*live);
  CHECK_THROWS(file.restore(to, RestoreOptions().map_location(kCuda0)));
  CHECK(test::unchanged(*live, before));
}

TEST_CASE("From the CPU to a CUDA device and back") {
  if (!torch::cuda::is_available()) {
    WARN("skipped: no CUDA device");
    return;
  }
  Net saved;
  torch::optim::Adam optimizer(saved->parameters(), torch::optim::AdamOptions(0.01));
  test::train(saved, optimizer, 2);
  State from;
  from.add("model", saved).add("optimizer", optimizer).rng(false);
  const Saved file(from);
  Net live;
  torch::optim::Adam live_optimizer(live->parameters(), torch::optim::AdamOptions(0.5));
  State to;
  to.add("model", live).add("optimizer", live_optimizer).rng(false);
  file.restore(to, RestoreOptions().map_location(kCuda0));
  CHECK(live->conv->weight.device() == kCuda0);
  for (const auto& entry : live_optimizer.state()) {
    CHECK(static_cast<torch::optim::AdamParamState&>(*entry.second).exp_avg().device() == kCuda0);
  }
  const Saved cuda_file(to);
  Net back;
  torch::optim::Adam back_optimizer(back->parameters(), torch::optim::AdamOptions(0.5));
  State cpu;
  cpu.add("model", back).add("optimizer", back_optimizer).rng(false);
  cuda_file.restore(cpu);
  CHECK(same_bits(*saved, *back));
}
