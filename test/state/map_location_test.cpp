#include "support/catch.h"
#include "support/error_of.h"
#include "support/models.h"
#include "support/round_trip.h"

#include "compat/torch_compat.h"
#include "format/torch/archive_reader.h"
#include "state/restore.h"
#include "store/directory/verify.h"

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
  format::DecodedArchive archive = format::read_archive(checkpoint.file("checkpoint.pt"));
  state::restore(state, checkpoint.manifest, table, checkpoint.contents(), archive, options);
}

}  // namespace

TEST_CASE("Which device a tensor goes to") {
  CHECK(MapLocation().device_for("k", kCuda0, kCpu) == kCpu);
  CHECK(MapLocation(kCuda1).device_for("k", kCuda0, kCpu) == kCuda1);
  CHECK(MapLocation(torch::kCPU).device_for("k", kCuda0, kCuda1) == kCpu);
  const MapLocation map(std::map<std::string, c10::Device>{{"cuda:0", kCuda1}});
  CHECK(map.device_for("k", kCuda0, kCpu) == kCuda1);
  CHECK(map.device_for("k", kCpu, kCuda0) == kCuda0);
  const MapLocation function([](const c10::Device& saved) -> std::optional<c10::Device> {
    if (saved.is_cuda()) return c10::Device(c10::kCPU);
    return std::nullopt;
  });
  CHECK(function.device_for("k", kCuda1, kCuda0) == kCpu);
  CHECK(function.device_for("k", kCpu, kCuda0) == kCuda0);
  const MapLocation of_key(
      [](const std::string& key, const c10::Device& saved) { return key == "k" ? kCuda1 : saved; });
  CHECK(of_key.device_for("k", kCuda0, kCpu) == kCuda1);
  CHECK(of_key.device_for("other", kCuda0, kCpu) == kCuda0);
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
  SECTION("a function of the key too, which is not asked for the optimizer's state") {
    std::map<std::string, c10::Device> heard;
    restore_as_from_cuda(
        file, to,
        RestoreOptions().map_location([&](const std::string& key, const c10::Device& device) {
          CHECK(heard.emplace(key, device).second);
          return std::optional<c10::Device>();
        }));
    CHECK(heard.size() == saved->parameters().size() + saved->buffers().size());
    CHECK(heard.at("model.norm.running_mean") == kCuda1);
    CHECK(heard.at("model.first.weight") == kCuda1);
  }
  CHECK(same_bits(*saved, *live));
}

namespace {

const c10::Device kMeta(c10::kMeta);

// An object whose state_dict has two tensors.
struct Pair {
  Value state_dict() const {
    Dict state;
    state.insert("left", left);
    state.insert("right", Value::List{right});
    return state;
  }
  void load_state_dict(const Value& saved) {
    left = saved.dict().at("left").to_tensor();
    right = saved.dict().at("right").list()[0].to_tensor();
  }
  torch::Tensor left = torch::ones({2}), right = torch::ones({3});
};

// The same through LibTorch's archives.
struct ArchivedPair {
  void save(torch::serialize::OutputArchive& archive) const {
    archive.write("left", left);
    archive.write("right", right);
  }
  void load(torch::serialize::InputArchive& archive) {
    left = right = torch::Tensor();  // Else LibTorch refuses to move them to the meta device.
    archive.read("left", left);
    archive.read("right", right);
  }
  torch::Tensor left = torch::ones({2}), right = torch::ones({3});
};

// Every machine has the meta device. A test can check that a tensor has moved there, but not its
// data.
c10::Device left_to_meta(const std::string& key, const c10::Device& saved) {
  return contains(key, "left") ? kMeta : saved;
}

}  // namespace

TEST_CASE("The tensors of objects and trees go where map_location says, else where they were") {
  Pair pair;
  ArchivedPair archived;
  Value tree = pair.state_dict();
  torch::Tensor left = torch::ones({2}), right = torch::ones({2});
  State from;
  from.add("pair", pair).add("archived", archived).add("tree", tree);
  from.add("left", left).add("right", right);
  const Saved file(from);

  Pair live_pair;
  ArchivedPair live_archived;
  Value live_tree = live_pair.state_dict();
  torch::Tensor live_left, live_right;
  State to;
  to.add("pair", live_pair).add("archived", live_archived).add("tree", live_tree);
  to.add("left", live_left).add("right", live_right);
  const auto devices = [&] {
    const Dict& dict = live_tree.dict();
    return std::vector<c10::Device>{live_pair.left.device(),
                                    live_archived.left.device(),
                                    dict.at("left").to_tensor().device(),
                                    live_left.device(),
                                    live_pair.right.device(),
                                    live_archived.right.device(),
                                    dict.at("right").list()[0].to_tensor().device(),
                                    live_right.device()};
  };
  file.restore(to, RestoreOptions().map_location(left_to_meta));
  CHECK(devices() == std::vector<c10::Device>{kMeta, kMeta, kMeta, kMeta, kCpu, kCpu, kCpu, kCpu});
  CHECK(same_bits(live_archived.right, archived.right));
  CHECK(same_bits(live_tree.dict().at("right").list()[0].to_tensor(), pair.right));
  // Without it the live tensors' devices win.
  file.restore(to);
  CHECK(devices() == std::vector<c10::Device>{kMeta, kMeta, kMeta, kMeta, kCpu, kCpu, kCpu, kCpu});
  file.restore(to, RestoreOptions().map_location(torch::kCPU).items({"pair", "archived", "tree"}));
  CHECK(devices() == std::vector<c10::Device>{kCpu, kCpu, kCpu, kMeta, kCpu, kCpu, kCpu, kCpu});
  CHECK(same_bits(live_pair.left, pair.left));
}

TEST_CASE("load and load_weights hear the file's keys") {
  Net net;
  State from;
  from.add("model", net).rng(false);
  const Saved file(from);
  const StateDict weights = load_weights(
      file.path(),
      [](const std::string& key, const c10::Device& saved) {
        return key == "model.first.weight" ? kMeta : saved;
      },
      "model");
  CHECK(weights["first.weight"].device() == kMeta);
  CHECK(same_bits(weights["first.bias"], net->first->bias));
}

TEST_CASE("An optimizer's state goes where its parameters are") {
  struct TwoImpl : torch::nn::Module {
    explicit TwoImpl(c10::Device device)
        : here(register_parameter("here", torch::ones({2}))),
          there(register_parameter("there", torch::ones({3}, device))) {}
    torch::Tensor here, there;
  };
  TwoImpl saved(kCpu), live(kMeta);
  torch::optim::Adam optimizer(saved.parameters(), torch::optim::AdamOptions(0.01));
  (saved.here.sum() + saved.there.sum()).backward();
  optimizer.step();
  State from;
  from.add("model", saved).add("optimizer", optimizer);
  const Saved file(from);

  torch::optim::Adam live_optimizer(live.parameters(), torch::optim::AdamOptions(0.5));
  State to;
  to.add("model", live).add("optimizer", live_optimizer);
  file.restore(to);
  for (const torch::Tensor& parameter : {live.here, live.there}) {
    const auto& state = static_cast<torch::optim::AdamParamState&>(
        *live_optimizer.state().at(compat::state_key(parameter)));
    CHECK(state.exp_avg().device() == parameter.device());
    CHECK(state.exp_avg_sq().device() == parameter.device());
  }
}

TEST_CASE("A live tensor that cannot be moved is a mismatch, and nothing has changed") {
  Net saved, live;
  State from, to;
  from.add("model", saved);
  to.add("model", live);
  const Saved file(from);
  const auto before = test::copies_of(*live);
  const std::string error =
      error_of([&] { file.restore(to, RestoreOptions().map_location(kMeta)); });
  CHECK(contains(error,
                 "model.conv.weight: LibTorch cannot move a tensor in place from cpu to meta"));
  CHECK(test::unchanged(*live, before));
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
  CHECK(contains(
      error_of([&] { file.restore(to, RestoreOptions().map_location(kCuda0)); }),
      "incompatible: the tensor 'model.conv.weight' must go to cuda:0, but CUDA is not available"));
  CHECK(test::unchanged(*live, before));
}
