// Tensors that have elements but no memory for them. Reading or writing one would end the process.

#include "support/catch.h"
#include "support/error_of.h"
#include "support/models.h"
#include "support/round_trip.h"

#include <torch/script.h>

#include <filesystem>
#include <utility>
#include <vector>

using namespace checkpoint;
using test::same_bits;
using test::Saved;
using test::TemporaryDirectory;

namespace {

torch::Tensor freed() {
  torch::Tensor tensor = torch::ones({5, 5});
  tensor.storage().unsafeGetStorageImpl()->reset();  // As FSDP does.
  return tensor;
}

torch::Tensor released() {
  torch::Tensor tensor = torch::ones({5, 5});
  tensor.unsafeGetTensorImpl()->release_resources();
  return tensor;
}

// A shape without a resize.
torch::Tensor too_large() {
  torch::Tensor tensor = torch::empty({0});
  tensor.unsafeGetTensorImpl()->set_sizes_contiguous({5, 5});
  return tensor;
}

struct Kind {
  torch::Tensor tensor;
  std::string words;
};

std::vector<Kind> kinds() {
  return {{torch::_efficientzerotensor({5, 5}), "a ZeroTensor, which has no memory"},
          {freed(), "larger than its memory: it needs 100 bytes, and its storage has 0"},
          {released(), "without memory: its storage was released"},
          {too_large(), "larger than its memory: it needs 100 bytes, and its storage has 0"},
          {torch::from_blob(nullptr, {5, 5}), "without memory: its storage begins at null"}};
}

// A module with a parameter, that may be any tensor.
struct HolderImpl : torch::nn::Module {
  HolderImpl() : x(register_parameter("x", torch::ones({5, 5}))) {}
  void free() { x.storage().unsafeGetStorageImpl()->reset(); }
  torch::Tensor x;
};
TORCH_MODULE(Holder);

// One whose save and load are its own.
struct OwnImpl : HolderImpl {
  void save(torch::serialize::OutputArchive& archive) const override { archive.write("mine", x); }
  void load(torch::serialize::InputArchive& archive) override { archive.read("mine", x); }
};

struct Object {
  Value state_dict() const {
    Dict state;
    state.insert("mean", mean);
    return state;
  }
  void load_state_dict(const Value& saved) { mean = saved.dict().at("mean").to_tensor(); }
  torch::Tensor mean = torch::ones({5, 5});
};

struct Archived {
  void save(torch::serialize::OutputArchive& archive) const { archive.write("mean", mean); }
  void load(torch::serialize::InputArchive& archive) { archive.read("mean", mean); }
  torch::Tensor mean = torch::ones({5, 5});
};

}  // namespace

TEST_CASE("Tensors without memory are refused by every save") {
  const TemporaryDirectory root;
  for (auto& [tensor, words] : kinds()) {
    const std::string refusal = "cannot be saved: it is " + words;
    for (const char* extension : {".pt", ".pth", ".safetensors"}) {
      CAPTURE(words, extension);
      const std::string path = root / std::string("file") + extension;
      Dict tree;
      tree.insert("z", tensor);
      CHECK(contains(error_of([&] { checkpoint::save(Value(tree), path); }),
                     "unsupported: the tensor 'z' " + refusal));
      StateDict weights;
      weights.insert("z", tensor);
      CHECK(contains(error_of([&] { checkpoint::save(weights, path); }),
                     "the tensor 'z' " + refusal));
      CHECK_FALSE(std::filesystem::exists(path));
    }
    State state;
    state.add("z", tensor);
    for (const bool async : {false, true}) {
      for (const Format format : {Format::kArchive, Format::kPth}) {
        CheckpointManager manager(root / "run",
                                  CheckpointManagerOptions().async(async).format(format));
        CHECK(contains(error_of([&] { manager.save(state, {}); }), "the tensor 'z' " + refusal));
        CHECK(manager.list().empty());
      }
    }
  }
}

TEST_CASE("A tensor without elements needs no memory") {
  torch::Tensor saved = torch::from_blob(nullptr, {0, 3}), live = torch::zeros({0, 3});
  State from, to;
  from.add("z", saved);
  to.add("z", live);
  const Saved file(from);
  CHECK(file.restore(to).report.fits());
  CHECK(file.restore(from).report.fits());
}

TEST_CASE("A live tensor without memory is no fault of the checkpoint") {
  const TemporaryDirectory root;
  CheckpointManager manager(root / "run");
  torch::Tensor saved = torch::full({5, 5}, 3.F);
  int64_t count = 4;
  State from;
  from.add("count", count).add("z", saved);
  const std::string name = manager.save(from, {});
  for (auto& [tensor, words] : kinds()) {
    CAPTURE(words);
    int64_t live_count = 1;
    State to;
    to.add("count", live_count).add("z", tensor);
    const std::string error = error_of([&] { manager.restore_latest(to); });
    CHECK(contains(error, "incompatible: "));
    CHECK(contains(error, "z: the tensor here cannot be restored: it is " + words));
    CHECK(live_count == 1);
    // With Strict::kNo, what has memory is still loaded.
    const auto restored = manager.restore_latest(to, RestoreOptions().strict(Strict::kNo));
    REQUIRE(restored);
    CHECK(restored->skipped.empty());
    CHECK(live_count == 4);
  }
  CHECK_NOTHROW(manager.verify(name));
}

TEST_CASE("A sparse live tensor is refused before anything is written") {
  torch::Tensor saved = torch::eye(3), live = torch::eye(3).to_sparse();
  State from, to;
  from.add("z", saved);
  to.add("z", live);
  CHECK(contains(error_of([&] { Saved(from).restore(to); }),
                 "z: a tensor of the layout Sparse here, a dense one saved"));
}

TEST_CASE("Modules and objects with a save of their own: no undo could be made") {
  auto own = std::make_shared<OwnImpl>();
  Object object;
  Archived archived;
  State state;
  state.add("own", own).add("object", object).add("archived", archived);
  const Saved file(state);
  own->free();
  object.mean = freed();
  archived.mean = torch::_efficientzerotensor({5, 5});
  const std::string error = error_of([&] { file.restore(state); });
  CHECK(contains(error, "incompatible: "));
  CHECK(contains(error, "own.x: the tensor here cannot be restored"));
  CHECK(contains(error, "object.mean: the tensor here cannot be restored"));
  CHECK(contains(error, "archived.mean: the tensor here cannot be restored"));
}

TEST_CASE("Weights without memory: state_dict, copies and averages") {
  Holder whole, empty;
  empty->free();
  const auto refused = [](const std::string& error, const std::string& why) {
    CAPTURE(error);
    CHECK(contains(error, "incompatible: "));
    CHECK(contains(error, "x: " + why));
  };
  const std::string live = "the tensor here cannot be restored: it is larger than its memory";
  const std::string given = "the given tensor cannot be read: it is larger than its memory";
  refused(error_of([&] { copy_weights(*whole, *empty); }), live);
  refused(error_of([&] { copy_weights(*empty, *whole); }), given);
  refused(error_of([&] { update_average(*empty, *whole, 0.5); }), live);
  refused(error_of([&] { update_average(*whole, *empty, 0.5); }), given);
  refused(error_of([&] { checkpoint::load_state_dict(*whole, state_dict(*empty)); }), given);
  const TemporaryDirectory root;
  checkpoint::save(state_dict(*whole), root / "x.pt");
  refused(error_of([&] { checkpoint::load_state_dict(*empty, root / "x.pt"); }), live);
  StateDict meta;
  meta.insert("x", torch::empty({5, 5}, torch::kMeta));
  refused(error_of([&] { checkpoint::load_state_dict(*whole, meta); }),
          "the given tensor cannot be read: it is on the meta device");
  CHECK(same_bits(whole->x, torch::ones({5, 5})));
}

TEST_CASE("An optimizer's state without memory is refused by a save, and replaced by a restore") {
  Holder model;
  torch::optim::Adam optimizer(model->parameters(), torch::optim::AdamOptions(0.01));
  model->x.sum().backward();
  optimizer.step();
  State state;
  state.add("model", model).add("optimizer", optimizer);
  const Saved file(state);
  auto& live = static_cast<torch::optim::AdamParamState&>(*optimizer.state().begin()->second);
  const torch::Tensor before = live.exp_avg().clone();
  const Value python = optimizer_state_dict(optimizer);
  live.exp_avg().storage().unsafeGetStorageImpl()->reset();
  CHECK(contains(error_of([&] { Saved again(state); }),
                 "the tensor 'optimizer.state.0.exp_avg' cannot be saved: it is larger than"));
  CHECK(contains(error_of([&] { load_optimizer_state_dict(optimizer, python); }),
                 "state.0.exp_avg: the given tensor cannot be read"));
  CHECK(file.restore(state).report.fits());
  auto& now = static_cast<torch::optim::AdamParamState&>(*optimizer.state().begin()->second);
  CHECK(same_bits(now.exp_avg(), before));
}

TEST_CASE("TorchScript modules with tensors without memory") {
  torch::jit::Module module("M"), inner("Inner");
  inner.register_buffer("scale", torch::ones({5, 5}));
  module.register_module("inner", inner);
  c10::List<torch::Tensor> list;
  list.push_back(torch::ones({5, 5}));
  module.register_attribute("list", c10::ListType::ofTensors(), list);
  State state;
  state.add("net", module);
  const Saved file(state);
  const TemporaryDirectory root;
  save_script(module, root / "m.pt");

  list.get(0).storage().unsafeGetStorageImpl()->reset();
  CHECK(contains(error_of([&] { save_script(module, root / "n.pt"); }),
                 "unsupported: the tensor 'list' cannot be saved: it is larger than"));
  list.set(0, torch::ones({5, 5}));
  inner.attr("scale").toTensor().storage().unsafeGetStorageImpl()->reset();
  CHECK(contains(error_of([&] { save_script(module, root / "n.pt"); }), "'inner.scale'"));
  CHECK_FALSE(std::filesystem::exists(root / "n.pt"));
  CHECK(contains(error_of([&] { Saved again(state); }), "'net.inner.scale' cannot be saved"));
  CHECK(contains(error_of([&] { file.restore(state); }),
                 "net.inner.scale: the tensor here cannot be restored"));
}
