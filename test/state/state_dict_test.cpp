#include "support/catch.h"
#include "support/error_of.h"
#include "support/models.h"
#include "support/round_trip.h"

#include <cmath>
#include <filesystem>
#include <set>

using namespace checkpoint;
using test::copies_of;
using test::Net;
using test::same_bits;
using test::unchanged;
namespace fs = std::filesystem;

TEST_CASE("A state_dict has the module's names in order, and shares its memory") {
  Net net;
  const StateDict dict = state_dict(*net);
  CHECK(dict.size() == net->named_parameters().size() + net->named_buffers().size());
  CHECK(dict.items().front().key() == "conv.weight");
  CHECK(dict["conv.weight"].data_ptr() == net->conv->weight.data_ptr());
  CHECK_FALSE(dict["conv.weight"].requires_grad());
}

TEST_CASE("load_state_dict is strict unless told otherwise, and all or nothing") {
  Net from, to;
  StateDict dict = state_dict(*from);
  checkpoint::load_state_dict(*to, dict);
  CHECK(same_bits(*from, *to));

  StateDict partial;
  partial.insert("conv.weight", torch::zeros({3, 1, 3, 3}));
  partial.insert("second.bias", torch::zeros({9}));
  partial.insert("seconds.bias", torch::zeros({9}));
  const auto before = copies_of(*to);
  const std::string error = error_of([&] { checkpoint::load_state_dict(*to, partial); });
  CHECK(contains(error, "incompatible: "));
  CHECK(contains(error, "second.bias: shape [2] here, [9] saved"));
  CHECK(contains(error, "seconds.bias"));
  CHECK(unchanged(*to, before));
  const RestoreReport report = checkpoint::load_state_dict(*to, partial, Strict::kNo);
  CHECK(report.unexpected == std::vector<std::string>{"seconds.bias"});
  CHECK(report.mismatched.size() == 1);
  CHECK(to->conv->weight.abs().sum().item<float>() == 0);
}

TEST_CASE("Weights go from one model to another in one call") {
  Net model, target;
  copy_weights(*model, *target);
  CHECK(same_bits(*model, *target));
  CHECK(target->conv->weight.data_ptr() != model->conv->weight.data_ptr());
  {
    const torch::NoGradGuard no_grad;
    model->conv->weight.fill_(2);
    target->conv->weight.fill_(1);
  }
  model->norm->num_batches_tracked.fill_(7);
  update_average(*target, *model, 0.75);
  CHECK(same_bits(target->conv->weight, torch::full({3, 1, 3, 3}, 1.25)));
  CHECK(target->norm->num_batches_tracked.item<int64_t>() == 7);
  CHECK(target->conv->weight.requires_grad());
  torch::nn::Linear other(1, 1);
  CHECK_THROWS_AS(copy_weights(*other, *target), Error);
  CHECK_THROWS_AS(update_average(*other, *target, 0.5), Error);
}

TEST_CASE("An average of another dtype: numbers are mixed, counters are copied") {
  Net model, average;
  {
    const torch::NoGradGuard no_grad;
    model->conv->weight.fill_(1);
    average->conv->weight.fill_(0);
  }
  model->norm->num_batches_tracked.fill_(7);
  // A cast of the whole module makes the counter a floating-point number.
  model->to(torch::kHalf);
  update_average(*average, *model, 0.5);
  CHECK(same_bits(average->conv->weight, torch::full({3, 1, 3, 3}, 0.5)));
  CHECK(average->norm->num_batches_tracked.item<int64_t>() == 7);
  model->norm->num_batches_tracked.fill_(9);
  update_average(*model, *average, 0.5);
  CHECK(model->norm->num_batches_tracked.item<double>() == 7);
  model->norm->num_batches_tracked.fill_(INFINITY);
  CHECK(contains(error_of([&] { update_average(*average, *model, 0.5); }),
                 "norm.num_batches_tracked: dtype int64 here, float16"));
}

TEST_CASE("Complex numbers are averaged as real ones are") {
  struct Holder : torch::nn::Module {
    explicit Holder(double value)
        : x(register_buffer("x", torch::full({2}, value, torch::kComplexFloat))) {}
    torch::Tensor x;
  };
  Holder average(0), model(1);
  update_average(average, model, 0.75);
  CHECK(average.x.equal(torch::full({2}, 0.25, torch::kComplexFloat)));
}

TEST_CASE("save and load a state_dict and a tree; an older file is replaced whole") {
  const test::TemporaryDirectory root;
  const std::string path = root / "new/folder/model.pt";
  Net net, other;
  checkpoint::save(state_dict(*net), path);
  checkpoint::save(state_dict(*net), path);
  CHECK(test::names_in(root / "new/folder") == std::vector<std::string>{"model.pt"});
  checkpoint::load_state_dict(*other, load_weights(path));
  CHECK(same_bits(*net, *other));

  Dict dict;
  dict.insert("epoch", 3);
  dict.insert("names", Value::List{"a", "b"});
  const torch::Tensor shared = torch::randn({2});
  dict.insert("a", shared);
  dict.insert("b", shared);
  checkpoint::save(Value(dict), path);
  const Value back = load(path, torch::kCPU);
  CHECK(back.dict().at("epoch").to_int() == 3);
  CHECK(back.dict().at("names").list()[1].to_string() == "b");
  CHECK(same_bits(back.dict().at("a").to_tensor(), shared));
  CHECK(back.dict().at("a").to_tensor().data_ptr() == back.dict().at("b").to_tensor().data_ptr());
}

namespace {

// Modules in modules, some without tensors, and one that LibTorch's load passes by.
struct TowerImpl : torch::nn::Module {
  TowerImpl() {
    using namespace torch::nn;
    register_module("first", Sequential(Linear(2, 3), ReLU(), Functional(torch::relu)));
    register_module("middle", Sequential(BatchNorm1d(3), Dropout(0.5)));
    register_module("last", Sequential(Tanh()));
    register_parameter("scale", torch::randn({3}));
  }
};
TORCH_MODULE(Tower);

std::set<std::string> names_of(const StateDict& dict) {
  const std::vector<std::string> names = dict.keys();
  return {names.begin(), names.end()};
}

}  // namespace

TEST_CASE("Plain torch::load opens a state_dict's .pt file, nested modules too") {
  const test::TemporaryDirectory root;
  const std::string path = root / "model.pt";
  Tower saved, plain, ours, again;
  checkpoint::save(state_dict(*saved), path);
  torch::load(plain, path);
  CHECK(same_bits(*plain, *saved));
  checkpoint::load_state_dict(*ours, path);
  CHECK(same_bits(*ours, *saved));
  CHECK(names_of(load_weights(path, torch::kCPU)) == names_of(state_dict(*saved)));

  // Read, and written again.
  checkpoint::save(load_weights(path, torch::kCPU), root / "again.pt");
  torch::load(again, root / "again.pt");
  CHECK(same_bits(*again, *saved));

  // A part of a model, by its name.
  torch::nn::Sequential part(torch::nn::BatchNorm1d(3), torch::nn::Dropout(0.5));
  checkpoint::load_state_dict(*part, path, {}, "middle");
  CHECK(same_bits(*part, *saved->named_children()["middle"]));
}

TEST_CASE("Flat .pt files are read as before, and what cannot be nested is written flat") {
  const test::TemporaryDirectory root;
  Net net, other;
  Dict flat;
  for (const auto& entry : state_dict(*net)) flat.insert(entry.key(), entry.value());
  checkpoint::save(Value(flat), root / "flat.pt");
  CHECK(load(root / "flat.pt").dict().contains("conv.weight"));
  checkpoint::load_state_dict(*other, root / "flat.pt");
  CHECK(same_bits(*net, *other));

  for (const char* second : {"a.b", "a.class", "a..c"}) {
    StateDict odd;
    odd.insert(second[2] == 'b' ? "a" : "a.w", torch::ones({1}));
    odd.insert(second, torch::ones({2}));
    checkpoint::save(odd, root / "odd.pt");
    CHECK(names_of(load_weights(root / "odd.pt")) == names_of(odd));
  }
}

TEST_CASE("load opens what plain torch::save writes") {
  const test::TemporaryDirectory root;
  Net net, other;
  torch::save(net, root / "net.pt");
  checkpoint::load_state_dict(*other, load_weights(root / "net.pt"));
  CHECK(same_bits(*net, *other));
  torch::save(torch::arange(5), root / "tensor.pt");
  CHECK(same_bits(load(root / "tensor.pt").dict().begin()->second.to_tensor(), torch::arange(5)));
}

TEST_CASE("load opens a checkpoint's directory, and load_weights one item of it") {
  const test::TemporaryDirectory root;
  Net net, other;
  torch::optim::Adam optimizer(net->parameters());
  test::train(net, optimizer, 1);
  State state;
  state.add("model", net).add("optimizer", optimizer);
  CheckpointManager manager(root.path());
  manager.save(state, {4, 40, 0.5});
  CHECK(load(root / "latest").dict().at("epoch").to_int() == 4);
  checkpoint::load_state_dict(*other, load_weights(root / "latest", torch::kCPU, "model"));
  CHECK(same_bits(*net, *other));
  CHECK(contains(error_of([&] { load_weights(root / "latest", torch::kCPU, "modle"); }),
                 "not_found: "));
  test::flip_bit(root / "latest/checkpoint.pt", 600);
  CHECK(contains(error_of([&] { load(root / "latest"); }), "corrupt: "));
}

TEST_CASE("load_state_dict reads a file of any format straight into a module") {
  const test::TemporaryDirectory root;
  Net net;
  for (const char* name : {"net.pt", "net.pth", "net.safetensors"}) {
    checkpoint::save(state_dict(*net), root / name);
    Net other;
    const void* const memory = other->conv->weight.data_ptr();
    const auto version = other->conv->weight._version();
    CHECK(checkpoint::load_state_dict(*other, root / name).fits());
    CHECK(same_bits(*net, *other));
    CHECK(other->conv->weight.data_ptr() == memory);
    CHECK(other->conv->weight._version() > version);
    CHECK(other->conv->weight.requires_grad());
  }
  Net half;
  half->to(torch::kHalf);
  const auto before = copies_of(*half);
  CHECK(contains(error_of([&] { checkpoint::load_state_dict(*half, root / "net.pth"); }),
                 "dtype float16 here"));
  CHECK(unchanged(*half, before));
  checkpoint::load_state_dict(*half, root / "net.pth", RestoreOptions().convert_dtype(true));
  CHECK(half->conv->weight.equal(net->conv->weight.to(torch::kHalf)));

  Net wider(7);
  const RestoreReport report =
      checkpoint::load_state_dict(*wider, root / "net.pth", RestoreOptions().strict(Strict::kNo));
  CHECK(report.mismatched.size() == 3);
  CHECK(wider->conv->weight.equal(net->conv->weight));
  CHECK(contains(error_of([&] { checkpoint::load_state_dict(*wider, root / "no.pth"); }),
                 "not_found: "));
}

TEST_CASE("A link that the user names is followed") {
  const test::TemporaryDirectory root;
  Net net;
  for (const char* name : {"net.pt", "net.pth", "net.safetensors"}) {
    const std::string link = root / (std::string("link to ") + name);
    checkpoint::save(state_dict(*net), root / name);
    fs::create_symlink(name, link);
    CHECK(load(link).is_dict());
    load_metadata(link);
    Net other;
    checkpoint::load_state_dict(*other, link);
    CHECK(same_bits(*net, *other));
  }
}

TEST_CASE("load_state_dict reads an item of a file, and of a checkpoint, which is verified") {
  const test::TemporaryDirectory root;
  Net net;
  State state;
  state.add("model", net);
  CheckpointManager(root.path()).save(state, {4, 40, 0.5});
  Dict both;
  both.insert("net", checkpoint::load(root / "latest").dict().at("model"));
  both.insert("epoch", 4);
  checkpoint::save(Value(both), root / "both.pth");

  Net other;
  const auto before = copies_of(*other);
  const std::string whole =
      error_of([&] { checkpoint::load_state_dict(*other, root / "both.pth"); });
  CHECK(contains(whole, "conv.weight"));
  CHECK(
      contains(error_of([&] { checkpoint::load_state_dict(*other, root / "both.pth", {}, "met"); }),
               "not_found: the file has no item 'met'"));
  CHECK(unchanged(*other, before));
  checkpoint::load_state_dict(*other, root / "both.pth", {}, "net");
  CHECK(same_bits(*net, *other));

  for (const Verify verify : {Verify::kBefore, Verify::kWhileReading, Verify::kNever}) {
    Net again;
    checkpoint::load_state_dict(*again, root / "latest", RestoreOptions().verify(verify), "model");
    CHECK(same_bits(*net, *again));
  }
  test::flip_bit(root / "latest/checkpoint.pt", 600);
  Net damaged;
  const auto untouched = copies_of(*damaged);
  CHECK(contains(
      error_of([&] { checkpoint::load_state_dict(*damaged, root / "latest", {}, "model"); }),
      "corrupt: "));
  CHECK(unchanged(*damaged, untouched));
  const std::string while_reading = error_of([&] {
    checkpoint::load_state_dict(*damaged, root / "latest",
                                RestoreOptions().verify(Verify::kWhileReading), "model");
  });
  CHECK(contains(while_reading, "corrupt: reading failed when part of the live state"));
}

TEST_CASE("What cannot be saved or loaded is refused, and the older file stays") {
  const test::TemporaryDirectory root;
  checkpoint::save(state_dict(*Net()), root / "a.pt");
  const std::string before = test::read_file(root / "a.pt");
  Dict bad;
  bad.insert("class", 1);
  CHECK(contains(error_of([&] { checkpoint::save(Value(bad), root / "a.pt"); }), "unsupported: "));
  CHECK(contains(error_of([&] { checkpoint::save(Value(3), root / "a.pt"); }), "unsupported: "));
  CHECK(contains(error_of([&] { checkpoint::save(Value(Dict()), root / "a.xyz"); }),
                 "unsupported: "));
  CHECK(test::read_file(root / "a.pt") == before);
  CHECK(test::names_in(root.path()) == std::vector<std::string>{"a.pt"});
  CHECK(contains(error_of([&] { load(root / "none.pt"); }), "not_found: "));
  test::write_file(root / "text.pt", "this is no archive");
  CHECK(contains(error_of([&] { load(root / "text.pt"); }), "text.pt"));
}
