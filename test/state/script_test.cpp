#include "support/catch.h"
#include "support/error_of.h"
#include "support/file_size_limit.h"
#include "support/models.h"
#include "support/round_trip.h"

#include <torch/script.h>

using namespace checkpoint;
using test::FileSizeLimit;
using test::same_bits;
using test::Saved;
using test::TemporaryDirectory;

namespace {

// A module with a parameter, a buffer, attributes of many types, and a submodule.
torch::jit::Module make_module(int64_t seed) {
  torch::manual_seed(static_cast<uint64_t>(seed));
  torch::jit::Module inner("Inner");
  inner.register_parameter("weight", torch::randn({2, 2}, torch::requires_grad()), false);
  inner.register_attribute("name", c10::StringType::get(), "inner" + std::to_string(seed));

  torch::jit::Module module("M");
  module.register_parameter("weight", torch::randn({3, 2}, torch::requires_grad()), false);
  module.register_buffer("scale", torch::randn({3}));
  module.register_module("inner", inner);
  module.register_attribute("training", c10::BoolType::get(), seed % 2 == 0);
  module.register_attribute("count", c10::IntType::get(), seed);
  module.register_attribute("sizes", c10::ListType::ofInts(), c10::List<int64_t>());
  module.register_attribute("maybe", c10::OptionalType::create(c10::TensorType::get()),
                            seed == 1 ? c10::IValue(torch::randn({4})) : c10::IValue());
  c10::Dict<std::string, torch::Tensor> table;
  table.insert("a", torch::randn({2}));
  module.register_attribute(
      "table", c10::DictType::create(c10::StringType::get(), c10::TensorType::get()), table);
  module.define("def forward(self, x):\n  return x.matmul(self.weight.t()) * self.scale\n");
  return module;
}

torch::Tensor forward(torch::jit::Module& module) {
  return module.forward({torch::ones({1, 2})}).toTensor();
}

}  // namespace

TEST_CASE("A TorchScript module's tensors and attributes come back, in place") {
  torch::jit::Module saved = make_module(1);
  State from;
  from.add("net", saved);
  const Saved file(from);

  torch::jit::Module live = make_module(2);
  const torch::Tensor weight = live.attr("weight").toTensor();
  void* const memory = weight.data_ptr();
  State to;
  to.add("net", live);
  const Restored restored = file.restore(to);
  CHECK(restored.manifest.items[0].kind == "script");
  CHECK(same_bits(forward(live), forward(saved)));
  CHECK(live.attr("weight").toTensor().is_same(weight));
  CHECK(weight.data_ptr() == memory);
  CHECK(weight.requires_grad());
  CHECK(same_bits(live.attr("inner").toModule().attr("weight").toTensor(),
                  saved.attr("inner").toModule().attr("weight").toTensor()));
  CHECK(live.attr("inner").toModule().attr("name").toStringRef() == "inner1");
  CHECK(live.attr("count").toInt() == 1);
  CHECK(live.attr("sizes").toIntList().empty());
  CHECK(same_bits(live.attr("maybe").toTensor(), saved.attr("maybe").toTensor()));
  CHECK(same_bits(live.attr("table").toGenericDict().at("a").toTensor(),
                  saved.attr("table").toGenericDict().at("a").toTensor()));
  // The live flag stays, as with an nn::Module.
  CHECK(live.is_training());
}

TEST_CASE("A TorchScript module is trained on, bit for bit, and its optimizer knows its names") {
  const auto train = [](torch::jit::Module& module, torch::optim::Optimizer& optimizer) {
    for (int i = 0; i < 2; ++i) {
      optimizer.zero_grad();
      forward(module).square().sum().backward();
      optimizer.step();
    }
  };
  const auto make = [](torch::jit::Module& module) {
    return torch::optim::Adam({module.attr("weight").toTensor()}, 0.1);
  };
  torch::jit::Module saved = make_module(1);
  torch::optim::Adam optimizer = make(saved);
  train(saved, optimizer);
  State from;
  from.add("optimizer", optimizer).add("net", saved);
  const Saved file(from);
  CHECK(contains(test::read_file(file.path() + "/tensors.json"), "net.weight"));
  train(saved, optimizer);

  torch::jit::Module live = make_module(2);
  torch::optim::Adam live_optimizer = make(live);
  State to;
  to.add("optimizer", live_optimizer).add("net", live);
  file.restore(to);
  train(live, live_optimizer);
  CHECK(same_bits(live.attr("weight").toTensor(), saved.attr("weight").toTensor()));
}

TEST_CASE("A TorchScript module that does not fit is refused, and nothing has changed") {
  torch::jit::Module saved = make_module(1);
  State from;
  from.add("net", saved);
  const Saved file(from);

  torch::jit::Module live("M");
  live.register_parameter("weight", torch::zeros({4, 2}), false);
  live.register_attribute("count", c10::StringType::get(), "none");
  live.register_attribute("scale", c10::IntType::get(), 5);
  live.register_attribute("more", c10::IntType::get(), 6);
  State to;
  to.add("net", live);
  const std::string error = error_of([&] { file.restore(to); });
  CHECK(contains(error, "net.weight: shape [4, 2] here, [3, 2] saved"));
  CHECK(contains(error, "net.count: a str here, a int saved"));
  CHECK(contains(error, "net.scale: a int here, a Tensor saved"));
  CHECK(contains(error, "    net.more"));
  CHECK(contains(error, "    net.inner.weight"));
  CHECK(live.attr("count").toStringRef() == "none");
  CHECK(live.attr("more").toInt() == 6);
}

TEST_CASE("A later failure takes a TorchScript module's attributes back") {
  torch::jit::Module saved = make_module(1);
  test::Refusing refusing;
  State from;
  from.add("net", saved).add("refusing", refusing);
  const Saved file(from);

  torch::jit::Module live = make_module(2);
  const torch::Tensor before = forward(live).detach().clone();
  State to;
  to.add("net", live).add("refusing", refusing);
  CHECK(contains(error_of([&] { file.restore(to); }), "I refuse"));
  CHECK(live.attr("count").toInt() == 2);
  CHECK(live.attr("maybe").isNone());
  CHECK(same_bits(forward(live), before));
}

TEST_CASE("A TorchScript module is saved whole, and loaded with its code") {
  const TemporaryDirectory root;
  torch::jit::Module saved = make_module(1);
  const std::string path = root / "net.pt";
  save_script(make_module(2), path);
  save_script(saved, path);
  CHECK(test::names_in(root.path()) == std::vector<std::string>{"net.pt"});

  torch::jit::Module loaded = load_script(path);
  CHECK(same_bits(forward(loaded), forward(saved)));
  CHECK(loaded.attr("count").toInt() == 1);
  torch::jit::Module plain = torch::jit::load(path);
  CHECK(same_bits(forward(plain), forward(saved)));
  CHECK(same_bits(forward(loaded = load_script(path, c10::kCPU)), forward(saved)));
}

TEST_CASE("A full disk leaves the older script file as it was, and the process alive") {
  const TemporaryDirectory root;
  const std::string path = root / "net.pt";
  save_script(make_module(1), path);
  const std::string before = test::read_file(path);
  for (const rlim_t bytes : {0, 1, 1000, 2000}) {
    const FileSizeLimit limit(bytes);
    INFO(bytes << " bytes");
    CHECK(contains(error_of([&] { save_script(make_module(2), path); }), "no_space: "));
  }
  CHECK(test::read_file(path) == before);
  CHECK(test::names_in(root.path()) == std::vector<std::string>{"net.pt"});
}

TEST_CASE("Script files that cannot be written or read are errors that say so") {
  const TemporaryDirectory root;
  const torch::jit::Module module = make_module(1);
  test::write_file(root / "file", "");
  CHECK(contains(error_of([&] { save_script(module, root / "file/net.pt"); }), "io: "));
  std::filesystem::remove(root / "file");
  std::filesystem::create_directory(root / "net.pt");
  CHECK(contains(error_of([&] { save_script(module, root / "net.pt"); }), "invalid_argument: "));
  CHECK(test::names_in(root.path()) == std::vector<std::string>{"net.pt"});

  CHECK(contains(error_of([&] { load_script(root / "nothing.pt"); }), "not_found: "));
  test::write_file(root / "bad.pt", "this is no module");
  const std::string error = error_of([&] { load_script(root / "bad.pt"); });
  CHECK(contains(error, "incompatible: LibTorch cannot load this file"));
  CHECK(contains(error, root / "bad.pt"));
}
