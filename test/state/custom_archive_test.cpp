#include "format/torch/archive_reader.h"
#include "format/torch/memory_archive.h"
#include "state/restore.h"
#include "support/catch.h"
#include "support/error_of.h"
#include "support/memory_source.h"
#include "support/models.h"
#include "support/round_trip.h"

#include <torch/script.h>

#include <sstream>

using namespace checkpoint;
using test::same_bits;
using test::Saved;
using torch::serialize::InputArchive;
using torch::serialize::OutputArchive;

namespace {

// A value of every type that an archive takes.
struct Everything {
  c10::Dict<std::string, c10::List<int64_t>> lists;
  c10::Dict<int64_t, torch::Tensor> tensors;
  c10::List<int64_t> numbers;
  c10::List<std::string> names;
  std::vector<std::vector<double>> nested;
  std::tuple<int64_t, std::string> pair{0, ""};
  c10::Device device{c10::kCPU};
  c10::complex<double> z{0, 0};
  bool flag = false;
  bool is_none = true;
  torch::Tensor tied = torch::zeros({2}), tied_too = tied;
  bool throws = false;

  void save(OutputArchive& archive) const {
    archive.write("lists", c10::IValue(lists));
    archive.write("tensors", c10::IValue(tensors));
    archive.write("numbers", c10::IValue(numbers));
    archive.write("names", c10::IValue(names));
    archive.write("nested", c10::IValue(nested));
    archive.write("pair", c10::IValue(pair));
    archive.write("device", c10::IValue(device));
    archive.write("z", c10::IValue(z));
    archive.write("flag", c10::IValue(flag));
    archive.write("none", is_none ? c10::IValue() : c10::IValue("something"));
    OutputArchive inner(archive.compilation_unit());
    inner.write("tied", tied);
    archive.write("inner", inner);
    archive.write("tied_too", tied_too);
  }
  void load(InputArchive& archive) {
    const auto read = [&](const char* key) {
      c10::IValue value;
      archive.read(key, value);
      return value;
    };
    lists = read("lists").to<c10::Dict<std::string, c10::List<int64_t>>>();
    tensors = read("tensors").to<c10::Dict<int64_t, torch::Tensor>>();
    numbers = read("numbers").toIntList();
    names = read("names").to<c10::List<std::string>>();
    nested = read("nested").to<std::vector<std::vector<double>>>();
    pair = read("pair").to<std::tuple<int64_t, std::string>>();
    device = read("device").toDevice();
    z = read("z").toComplexDouble();
    flag = read("flag").toBool();
    is_none = read("none").isNone();
    if (throws) throw std::runtime_error("no");
    InputArchive inner;
    archive.read("inner", inner);
    tied = tied_too = torch::Tensor();
    inner.read("tied", tied);
    archive.read("tied_too", tied_too);
  }
};

struct Other {
  void save(OutputArchive& archive) const { archive.write("x", c10::IValue(1)); }
  void load(InputArchive&) {}
};

// A TorchScript file whose __setstate__ fails when it is run.
std::string hostile_bytes() {
  torch::jit::Module module("Hostile");
  module.register_attribute("count", c10::IntType::get(), 1);
  module.define(R"(
    def __getstate__(self) -> int:
      return self.count
    def __setstate__(self, state: int) -> None:
      assert False, "the file's code has run"
  )");
  std::stringstream stream;
  module.save(stream);
  return stream.str();
}

}  // namespace

TEST_CASE("A sampler of LibTorch's goes on where it was") {
  torch::manual_seed(5);
  torch::data::samplers::RandomSampler sampler(20);
  sampler.next(7);
  State from;
  from.add("sampler", sampler);
  const Saved file(from);
  const auto expected = sampler.next(5);

  torch::manual_seed(6);
  torch::data::samplers::RandomSampler live(20);
  State to;
  to.add("sampler", live);
  const Restored restored = file.restore(to);
  CHECK(live.index() == 7);
  CHECK(live.next(5) == expected);
  CHECK(restored.manifest.items[0].kind == "archive");
  CHECK(contains(restored.manifest.items[0].type, "RandomSampler"));
}

TEST_CASE("A class of one's own comes back with every type of value") {
  Everything saved;
  saved.lists.insert("a", c10::List<int64_t>({1, 2}));
  saved.lists.insert("empty", c10::List<int64_t>());
  saved.tensors.insert(7, torch::randn({3}));
  saved.names.push_back("x");
  saved.nested = {{1.5}, {}};
  saved.pair = {4, "four"};
  saved.z = {1, -2};
  saved.flag = true;
  saved.is_none = false;
  saved.tied = torch::randn({2});
  saved.tied_too = saved.tied;
  State from;
  from.add("everything", saved);
  const Saved file(from);

  Everything live;
  live.device = c10::Device("cuda:3");
  live.tensors.insert(1, torch::zeros({1}));
  State to;
  to.add("everything", live);
  file.restore(to);
  CHECK(live.lists.size() == 2);
  CHECK(live.lists.at("a").vec() == std::vector<int64_t>{1, 2});
  CHECK(live.lists.at("empty").empty());
  CHECK(live.tensors.size() == 1);
  CHECK(same_bits(live.tensors.at(7), saved.tensors.at(7)));
  CHECK(live.numbers.empty());
  CHECK(live.names.vec() == std::vector<std::string>{"x"});
  CHECK(live.nested == saved.nested);
  CHECK(live.pair == saved.pair);
  CHECK(live.device == c10::Device(c10::kCPU));
  CHECK(live.z == saved.z);
  CHECK(live.flag);
  CHECK_FALSE(live.is_none);
  CHECK(same_bits(live.tied, saved.tied));
  CHECK(live.tied.data_ptr() == live.tied_too.data_ptr());
}

TEST_CASE("A load that throws is undone, and another class's state refused") {
  Everything saved;
  saved.numbers.push_back(3);
  State from;
  from.add("object", saved);
  const Saved file(from);

  Everything live;
  live.numbers.push_back(1);
  live.flag = true;
  live.tied = torch::ones({2});
  live.throws = true;
  State to;
  to.add("object", live);
  CHECK(contains(error_of([&] { file.restore(to); }),
                 "'object' cannot be restored: its own load failed: no"));
  CHECK(live.numbers.vec() == std::vector<int64_t>{1});
  CHECK(live.flag);
  CHECK(same_bits(live.tied, torch::ones({2})));

  Other other;
  State another;
  another.add("object", other);
  CHECK(contains(error_of([&] { file.restore(another); }), "Everything cannot go into"));
}

TEST_CASE("What an archive cannot hold is refused by name when saving") {
  struct Holder {
    void save(OutputArchive& archive) const {
      OutputArchive inner(archive.compilation_unit());
      inner.write("generator", c10::IValue(at::detail::getDefaultCPUGenerator()));
      archive.write("inner", inner);
    }
    void load(InputArchive&) {}
  } holder;
  State state;
  state.add("holder", holder);
  const std::string error = error_of([&] { Saved file(state); });
  CHECK(contains(error, "unsupported: 'holder.inner.generator' cannot be saved"));
}

TEST_CASE("Pairs that only look like typed values do no harm") {
  const auto load = [](const Value& value) {
    Dict tree;
    tree.insert("x", value);
    return error_of([&] { format::to_archive(tree, "item"); });
  };
  CHECK(load(Tuple{{"TorchScript List[int]", Value::List{1, 2}}}).empty());
  CHECK(load(Tuple{{"List[int]", Value::List{1.5}}}).empty());
  for (const char* type : {"TorchScript ", "TorchScript List", "TorchScript List[int",
                           "TorchScript List[int]]", "TorchScript __torch__.Evil",
                           "TorchScript Dict[List[int], int]", "TorchScript List[str]"}) {
    INFO(type);
    CHECK(contains(load(Tuple{{type, Value::List{1}}}),
                   type == std::string("TorchScript ") ? "" : "corrupt: 'item.x'"));
  }
  std::string deep = "TorchScript ";
  for (int i = 0; i < 100000; ++i) deep += "List[";
  CHECK(contains(load(Tuple{{deep, Value::List{}}}), "its type cannot be read"));
}

TEST_CASE("A dict with a number and the same text as keys cannot become an archive") {
  Dict inner, tree;
  inner.insert(int64_t{3}, 1);
  tree.insert("inner", inner);
  InputArchive archive = format::to_archive(tree, "item"), nested;
  archive.read("inner", nested);
  CHECK(nested.keys() == std::vector<std::string>{"3"});
  inner.insert("3", 2);
  tree.insert("again", inner);
  CHECK(contains(error_of([&] { format::to_archive(tree, "item"); }),
                 "corrupt: 'item.again.3' is there twice"));
}

TEST_CASE("The code in a hostile archive never runs") {
  const std::string bytes = hostile_bytes();
  // It would, with LibTorch's own way of loading.
  InputArchive plain;
  CHECK_THROWS(plain.load_from(bytes.data(), bytes.size()));

  // Here it is not even decoded.
  const MemorySource source(bytes);
  const std::string error = error_of([&] { format::read_archive(source); });
  CHECK(contains(error, "unsupported: "));
  CHECK(contains(error, "__setstate__"));
}

TEST_CASE("The methods of a hostile archive are not there in what a load is given") {
  // A checkpoint whose item is a module with code, under the name and type that are expected.
  torch::jit::Module inner("Inner");
  inner.register_attribute("x", c10::IntType::get(), 1);
  inner.define("def forward(self):\n  assert False, 'the file has code'\n");
  torch::jit::Module module("Outer");
  module.register_module("object", inner);
  std::stringstream stream;
  module.save(stream);
  const MemorySource source(stream.str());
  format::DecodedArchive archive = format::read_archive(source);

  struct Reader {
    void save(OutputArchive& to) const { to.write("x", c10::IValue(number)); }
    void load(InputArchive& from) {
      keys = from.keys();
      c10::IValue value;
      from.read("x", value);
      number = value.toInt();
    }
    std::vector<std::string> keys;
    int64_t number = 0;
  } reader;
  State to;
  to.add("object", reader).rng(false);
  Manifest manifest;
  manifest.items.push_back({"object", "archive", c10::demangle(typeid(reader).name()), {}});
  state::restore(to, manifest, {}, {{&source}}, archive, {});
  CHECK(reader.number == 1);
  CHECK(reader.keys == std::vector<std::string>{"x"});
}
