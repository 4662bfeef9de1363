#include "base/digest.h"
#include "format/decode/tensor_loader.h"
#include "format/torch/archive_reader.h"
#include "format/torch/pth_writer.h"
#include "python/check_files.h"
#include "support/catch.h"
#include "support/error_of.h"
#include "support/handmade_pickle.h"
#include "support/temporary_directory.h"

#include <checkpoint/state_dict.h>

#include <libdeflate.h>
#include <torch/torch.h>

#include <cstring>
#include <fstream>
#include <initializer_list>
#include <limits>
#include <string>
#include <vector>

using namespace checkpoint;
using test::TemporaryDirectory;

namespace {

std::string with_extension(const TemporaryDirectory& directory, const char* extension) {
  return directory / (std::string("file") + extension);
}

// What every format can hold, nested, and without tensors that share memory.
Value plain_tree() {
  Dict inner;
  inner.insert("weight", torch::arange(6, torch::kFloat).reshape({2, 3}));
  inner.insert("count", torch::tensor(int64_t{7}));
  Dict tree;
  tree.insert("model", inner);
  tree.insert("epoch", 7);
  tree.insert("loss", 0.125);
  tree.insert("not a number", std::numeric_limits<double>::quiet_NaN());
  tree.insert("done", false);
  tree.insert("nothing", Value());
  tree.insert("text", "\u00e9\"\\\n");
  tree.insert("complex", c10::complex<double>(1.5, -std::numeric_limits<double>::infinity()));
  tree.insert("list", Value::List{1, 2.5, "three", Tuple{{4, torch::ones({2})}}});
  tree.insert("size", Size{{3, 4}});
  tree.insert("no size", Size());
  tree.insert("dtype", torch::kBFloat16);
  tree.insert("device", c10::Device("cuda:1"));
  tree.insert("bytes", Bytes{std::string("\0\xff", 2)});
  tree.insert("big", BigInt{std::string("\0\0\0\0\0\0\0\0\1", 9)});
  return tree;
}

class StringSink final : public store::ByteSink {
 public:
  void write(const void* data, size_t count) override {
    bytes.append(static_cast<const char*>(data), count);
  }
  std::string bytes;
};

}  // namespace

TEST_CASE("every format gives back what it was given", "[formats]") {
  const TemporaryDirectory directory;
  const Value tree = plain_tree();
  for (const char* extension : {".pt", ".pth", ".safetensors"}) {
    const std::string path = with_extension(directory, extension);
    save(tree, path);
    INFO(extension);
    CHECK(describe(load(path)) == describe(tree));
    CHECK(describe(load(path, LoadOptions().mmap(true))) == describe(tree));
    const StateDict weights = load_weights(path);
    CHECK(weights.keys() == std::vector<std::string>{"model.weight", "model.count", "list.3.1"});
    CHECK(load_weights(path, torch::kCPU, "model").keys() ==
          std::vector<std::string>{"weight", "count"});
  }
}

TEST_CASE("integer keys come back from .pth and safetensors", "[formats]") {
  const TemporaryDirectory directory;
  Dict tree;
  tree.insert(int64_t{3}, torch::ones({2}));
  tree.insert("3x", 1);
  tree.insert("__dict__", 2);
  for (const char* extension : {".pth", ".safetensors"}) {
    const std::string path = with_extension(directory, extension);
    save(tree, path);
    CHECK(describe(load(path)) == describe(tree));
    CHECK(load_weights(path).keys() == std::vector<std::string>{"3"});
  }
}

TEST_CASE("tensors that share memory share it again", "[formats]") {
  const TemporaryDirectory directory;
  const std::string path = directory / "shared.pth";
  const at::Tensor base = torch::arange(24, torch::kFloat);
  Dict tree;
  tree.insert("base", base);
  tree.insert("view", base.slice(0, 4, 10));
  tree.insert("transposed", base.reshape({4, 6}).t());
  tree.insert("integers", base.view(torch::kInt).slice(0, 1, 3));
  tree.insert("twice", Value::List{base, base.detach()});
  tree.insert("empty", base.slice(0, 3, 3));
  save(tree, path);
  for (const bool mmap : {false, true}) {
    const Value read = load(path, LoadOptions().mmap(mmap));
    CHECK(describe(read) == describe(tree));
    read.dict().at("base").to_tensor()[5] = -1;
    CHECK(read.dict().at("view").to_tensor()[1].item<float>() == -1);
  }
  // Writing to the tensors did not change the file.
  CHECK(describe(load(path)) == describe(tree));
}

TEST_CASE("memory of the user's own is shared by tensors of several storages", "[formats]") {
  const TemporaryDirectory directory;
  std::vector<int> memory(30);
  for (size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<int>(i) << 23;
  Dict tree;
  tree.insert("floats", torch::from_blob(memory.data() + 10, {10}));
  tree.insert("integers", torch::from_blob(memory.data() + 5, {10}, torch::kInt));
  save(tree, directory / "file.pth");
  CHECK(describe(load(directory / "file.pth")) == describe(tree));
}

TEST_CASE("a view is saved without the storage behind it", "[formats]") {
  const TemporaryDirectory directory;
  const at::Tensor large = torch::zeros({1000, 1000});
  Dict tree;
  tree.insert("a", large.slice(0, 0, 1));
  tree.insert("b", large.slice(0, 999, 1000));
  tree.insert("column", large.slice(0, 5, 900).select(1, 3));
  for (const char* extension : {".pt", ".pth", ".safetensors"}) {
    const std::string path = with_extension(directory, extension);
    save(tree, path);
    CHECK(std::filesystem::file_size(path) < 50000);
    const Value read = load(path);
    CHECK(read.dict().at("column").to_tensor().sizes() == at::IntArrayRef({895}));
  }
}

TEST_CASE("every dtype comes back bit for bit", "[formats]") {
  const TemporaryDirectory directory;
  for (const char* extension : {".pth", ".safetensors"}) {
    Dict tree;
    for (const c10::ScalarType dtype : format::plain_dtypes()) {
      const std::string name = format::dtype_name(dtype);
      const bool is_in_safetensors = name != "complex32" && name != "complex128";
      if (extension == std::string(".safetensors") && !is_in_safetensors) continue;
      const at::Tensor bits = torch::arange(0, 6 * 16, torch::kByte).slice(0, 0, -1);
      at::Tensor tensor = torch::empty({6}, dtype);
      std::memcpy(tensor.data_ptr(), bits.data_ptr(), std::min<size_t>(tensor.nbytes(), 95));
      if (dtype == torch::kBool) tensor = torch::tensor({true, false});
      tree.insert(name, tensor);
    }
    const std::string path = with_extension(directory, extension);
    save(tree, path);
    const Value read = load(path);
    for (const auto& [name, tensor] : tree) {
      INFO(to_string(name));
      CHECK(describe(read.dict().at(name)) == describe(tensor));
    }
  }
}

TEST_CASE("what a format cannot hold is refused by name", "[formats]") {
  const TemporaryDirectory directory;
  Dict tree;
  tree.insert("z", torch::ones({2}, torch::kComplexDouble));
  CHECK(contains(error_of([&] { save(tree, directory / "a.safetensors"); }),
                 "unsupported: the tensor 'z' is of the dtype complex128"));
  Dict collision;
  Dict inner;
  inner.insert("b", torch::ones({1}));
  collision.insert("a", inner);
  collision.insert("a.b", torch::ones({1}));
  CHECK(contains(error_of([&] { save(collision, directory / "a.safetensors"); }), "'a.b'"));
  CHECK(error_of([&] { save(collision, directory / "a.pth"); }).empty());
  CHECK(contains(error_of([&] { save(Value(1), directory / "a.safetensors"); }), "holds a dict"));
  CHECK(contains(error_of([&] { save(Value("\xff"), directory / "a.pth"); }), "UTF-8"));
  Dict sparse;
  sparse.insert("s", torch::ones({2}).to_sparse());
  CHECK(contains(error_of([&] { save(sparse, directory / "a.pth"); }), "the tensor 's'"));
  CHECK(contains(error_of([&] { save(tree, directory / "a.bin"); }), "unknown file extension"));
  CHECK(error_of([&] {
          save(tree, directory / "b.bin", SaveOptions().format(Format::kPth));
        }).empty());
  CHECK(describe(load(directory / "b.bin")) == describe(tree));
  CHECK(contains(error_of([&] {
                   save(tree, directory / "a.pth", SaveOptions().metadata({{"a", "b"}}));
                 }),
                 "only a safetensors file has metadata"));
}

TEST_CASE("a safetensors file keeps its metadata", "[formats]") {
  const TemporaryDirectory directory;
  const std::string path = directory / "a.safetensors";
  save(plain_tree(), path, SaveOptions().metadata({{"author", "somebody \u00e9\"\n"}}));
  const std::map<std::string, std::string> wanted = {{"author", "somebody \u00e9\"\n"},
                                                     {"format", "pt"}};
  CHECK(load_metadata(path) == wanted);
  save(plain_tree(), directory / "a.pth");
  CHECK(load_metadata(directory / "a.pth").empty());
}

TEST_CASE("numbers in the other byte order are put right", "[formats]") {
  using namespace format;
  HandmadeZip zip;
  handmade::Tensor integers;
  integers.storage_class = "IntStorage";
  integers.numel = 2;
  integers.sizes = {2};
  handmade::Tensor complex;
  complex.storage_class = "ComplexFloatStorage";
  complex.key = "1";
  complex.numel = 1;
  complex.sizes = {1};
  zip.records = {{"archive/data.pkl", handmade::start() +
                                          handmade::dict(handmade::text("i") + integers.build() +
                                                         handmade::text("c") + complex.build()) +
                                          "."},
                 {"archive/byteorder", "big"},
                 {"archive/data/0", std::string("\0\0\1\2\0\0\0\3", 8)},
                 {"archive/data/1", std::string("\x3f\x80\0\0\x40\0\0\0", 8)}};
  const TemporaryDirectory directory;
  const std::string path = directory / "big.pth";
  std::ofstream(path, std::ios::binary) << zip.build();
  for (const bool mmap : {false, true}) {
    const Value tree = load(path, LoadOptions().mmap(mmap));
    CHECK(tree.dict().at("i").to_tensor().equal(torch::tensor({258, 3}, torch::kInt)));
    const auto number = tree.dict().at("c").to_tensor()[0].item<c10::complex<float>>();
    CHECK(number == c10::complex<float>(1, 2));
  }
  torch::nn::Module module;
  module.register_buffer("i", torch::zeros({2}, torch::kInt));
  module.register_buffer("c", torch::zeros({1}, torch::kComplexFloat));
  load_state_dict(module, path);
  CHECK(module.named_buffers()["i"].equal(torch::tensor({258, 3}, torch::kInt)));
}

namespace {

// As a program packs it that unpacks an archive and packs it again.
format::HandmadeZip::Record deflated(const std::string& name, const std::string& bytes) {
  libdeflate_compressor* const compressor = libdeflate_alloc_compressor(6);
  std::string packed(libdeflate_deflate_compress_bound(compressor, bytes.size()), '\0');
  packed.resize(libdeflate_deflate_compress(compressor, bytes.data(), bytes.size(), packed.data(),
                                            packed.size()));
  libdeflate_free_compressor(compressor);
  format::HandmadeZip::Record record;
  record.name = name;
  record.bytes = packed;
  record.method = 8;
  record.add_to_bytes = static_cast<int64_t>(bytes.size()) - static_cast<int64_t>(packed.size());
  record.crc32 = libdeflate_crc32(0, bytes.data(), bytes.size());
  return record;
}

std::string floats(std::initializer_list<float> numbers) {
  std::string bytes(numbers.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), numbers.begin(), bytes.size());
  return bytes;
}

}  // namespace

TEST_CASE("an archive that was packed again is read", "[formats]") {
  using namespace format;
  const TemporaryDirectory directory;
  const std::string path = directory / "deflated.pth";
  handmade::Tensor whole;
  handmade::Tensor part;
  part.offset = 2;
  part.sizes = {2};
  const std::string pickle =
      handmade::start() +
      handmade::dict(handmade::text("w") + whole.build() + handmade::text("part") + part.build()) +
      ".";
  HandmadeZip zip;
  zip.records = {deflated("a/data.pkl", pickle), deflated("a/byteorder", "little"),
                 deflated("a/data/0", floats({1, 2, 3, 4}))};
  std::ofstream(path, std::ios::binary) << zip.build();
  for (const bool mmap : {false, true}) {
    const Value tree = load(path, LoadOptions().mmap(mmap));
    CHECK(tree.dict().at("w").to_tensor().equal(torch::tensor({1.f, 2.f, 3.f, 4.f})));
    // They share their memory, as in any other file.
    tree.dict().at("w").to_tensor()[3] = 7;
    CHECK(tree.dict().at("part").to_tensor().equal(torch::tensor({3.f, 7.f})));
  }
  torch::nn::Module module;
  module.register_buffer("w", torch::zeros({4}));
  module.register_buffer("part", torch::zeros({2}));
  load_state_dict(module, path);
  CHECK(module.named_buffers()["w"].equal(torch::tensor({1.f, 2.f, 3.f, 4.f})));
  CHECK(module.named_buffers()["part"].equal(torch::tensor({3.f, 4.f})));

  SECTION("with another checksum") {
    zip.records[2].crc32 += 1;
    std::ofstream(path, std::ios::binary) << zip.build();
    CHECK(contains(error_of([&] { load(path); }), "corrupt: record 'data/0' has another checksum"));
  }
  SECTION("with a pickle that unfolds far") {
    zip.records[0] = deflated("a/data.pkl", std::string(10 << 20, 'N'));
    std::ofstream(path, std::ios::binary) << zip.build();
    CHECK(contains(error_of([&] { load(path); }), "far more memory than its size explains"));
  }
}

TEST_CASE("an array of NumPy is a tensor with the numbers of the pickle", "[formats]") {
  using namespace format;
  using namespace format::handmade;
  const TemporaryDirectory directory;
  const std::string path = directory / "numpy.pth";
  const auto array = [](const std::string& order, const std::string& bytes) {
    const std::string type =
        global("numpy", "dtype") + tuple(text("i2") + "\x89\x88") + "R" +
        tuple("K\x03" + text(order) + "NNN" + integer(-1) + integer(-1) + integer(0)) + "b";
    return global("numpy._core.multiarray", "_reconstruct") +
           tuple(global("numpy", "ndarray") + integers({0}) + text("b")) + "R" +
           tuple("K\x01" + integers({2}) + type + "\x89" + "B" + little(bytes.size(), 4) + bytes) +
           "b";
  };
  HandmadeZip zip;
  zip.records = {
      {"a/data.pkl", start() +
                         dict(text("little") + array("<", little(258, 2) + little(3, 2)) +
                              text("big") + array(">", little(258, 2) + little(3, 2))) +
                         "."}};
  std::ofstream(path, std::ios::binary) << zip.build();
  for (const bool mmap : {false, true}) {
    const Value tree = load(path, LoadOptions().mmap(mmap));
    CHECK(tree.dict().at("little").to_tensor().equal(torch::tensor({258, 3}, torch::kShort)));
    CHECK(tree.dict().at("big").to_tensor().equal(torch::tensor({513, 768}, torch::kShort)));
  }
  torch::nn::Module module;
  module.register_buffer("little", torch::zeros({2}, torch::kShort));
  module.register_buffer("big", torch::zeros({2}, torch::kShort));
  load_state_dict(module, path);
  CHECK(module.named_buffers()["little"].equal(torch::tensor({258, 3}, torch::kShort)));
  CHECK(module.named_buffers()["big"].equal(torch::tensor({513, 768}, torch::kShort)));
}

TEST_CASE("what old PyTorch wrote is read", "[python]") {
  const std::string old = std::string(TORCH_CHECKPOINT_GOLDEN) + "/python-old/";
  const auto check_weights = [](const Dict& weights) {
    CHECK(weights.size() == 2);
    CHECK(weights.at("lin0.model.1.weight").to_tensor().equal(torch::arange(4.0, torch::kFloat)));
    CHECK(weights.at("bias").to_tensor().equal(torch::ones({2})));
  };
  check_weights(load(old + "python2.pth").dict());
  for (const char* name : {"before-0.4.pth", "before-0.4-python2.pth"}) {
    const Value tree = load(old + name);
    CHECK(tree.dict().at("epoch").to_int() == 3);
    check_weights(tree.dict().at("state_dict").dict());
    CHECK(load_weights(old + name, {}, "state_dict").size() == 2);
  }
}

namespace {

// As older versions of Lightning write: tensors next to an object of a class.
std::string write_beside_unknown(const TemporaryDirectory& directory, const std::string& rest) {
  using namespace format::handmade;
  Tensor weight;
  format::HandmadeZip zip;
  zip.records = {{"a/data.pkl", start() +
                                    dict(text("state_dict") + dict(text("w") + weight.build()) +
                                         text("hyper_parameters") + rest) +
                                    "."},
                 {"a/data/0", floats({1, 2, 3, 4})}};
  std::ofstream(directory / "lightning.ckpt", std::ios::binary) << zip.build();
  return directory / "lightning.ckpt";
}

}  // namespace

TEST_CASE("weights beside an unknown class are read", "[formats]") {
  using namespace format;
  using namespace format::handmade;
  const TemporaryDirectory directory;
  const std::string made = global("argparse", "Namespace") + ")\x81";
  const at::Tensor wanted = torch::tensor({1.f, 2.f, 3.f, 4.f});
  SECTION("that holds numbers") {
    const std::string path =
        write_beside_unknown(directory, made + dict(text("lr") + "K\x05") + "b");
    const Value tree = load(path);
    CHECK(tree.dict().at("hyper_parameters").opaque().class_name == "argparse.Namespace");
    CHECK(load_weights(path, {}, "state_dict")["w"].equal(wanted));
    CHECK(load_weights(path)["state_dict.w"].equal(wanted));
    torch::nn::Module module;
    module.register_buffer("w", torch::zeros({4}));
    load_state_dict(module, path, {}, "state_dict");
    CHECK(module.named_buffers()["w"].equal(wanted));
    CHECK(contains(error_of([&] { load_state_dict(module, path, {}, "hyper_parameters"); }),
                   "the file holds an object of the class 'argparse.Namespace'"));
    // It cannot be written in any format; the values next to it can.
    for (const char* extension : {".pt", ".pth", ".safetensors"}) {
      const std::string to = with_extension(directory, extension);
      const std::string error = error_of([&] { save(tree, to); });
      CHECK(contains(error, "unsupported: 'hyper_parameters' cannot be saved"));
      CHECK(contains(error, "'argparse.Namespace'"));
      CHECK_FALSE(std::filesystem::exists(to));
      save(tree.dict().at("state_dict"), to);
    }
    Dict in_a_list;
    in_a_list.insert("list", Value::List{tree.dict().at("hyper_parameters")});
    CHECK(contains(error_of([&] { save(in_a_list, directory / "list.pt"); }),
                   "unsupported: 'list.0' cannot be saved"));
  }
  SECTION("that holds tensors") {
    const std::string path =
        write_beside_unknown(directory, made + dict(text("t") + Tensor().build()) + "b");
    const Value tree = load(path);
    CHECK(tree.dict()
              .at("hyper_parameters")
              .opaque()
              .parts.at(0)
              .dict()
              .at("t")
              .to_tensor()
              .equal(wanted));
    CHECK(load_weights(path, {}, "state_dict").size() == 1);
    const std::string error = error_of([&] { load_weights(path); });
    CHECK(contains(error, "the tensors of 'hyper_parameters' are parts of an object of the class"));
  }
  SECTION("that are all of it") {
    HandmadeZip zip;
    zip.records = {{"a/data.pkl", start() + global("m", "Net") + ")\x81}b."}};
    const std::string path = directory / "module.pth";
    std::ofstream(path, std::ios::binary) << zip.build();
    CHECK(load(path).opaque().class_name == "m.Net");
    CHECK(contains(error_of([&] { load_weights(path); }), "the file holds an object of the class"));
    CHECK(contains(error_of([&] { load_weights(path); }), "state_dict()"));
  }
}

TEST_CASE("what Python wrote is read as it was", "[python]") {
  for (const char* version : {"python-1.13", "python-2.14"}) {
    const std::string directory = std::string(TORCH_CHECKPOINT_GOLDEN) + "/" + version;
    const std::vector<std::string> files = described_files(directory);
    REQUIRE(files.size() >= 6);
    for (const std::string& path : files) CHECK(check_file(path) == "");
    for (const std::string& name : optimizer_names()) {
      if (std::filesystem::exists(directory + "/optimizer_" + name + ".pth")) {
        CHECK(check_optimizer(directory, name, 1e-4) == "");
      }
    }
  }
}

TEST_CASE("an optimizer of Python that LibTorch cannot follow is refused", "[python]") {
  torch::nn::Sequential model = small_model();
  const auto adam = make_optimizer("Adam", model, true);
  train(model, *adam, 2);
  const Value saved = optimizer_state_dict(*adam);
  const std::string before = describe(saved);
  const auto with = [&](const std::string& option, Value value) {
    Dict tree = saved.dict();
    Value::List groups = tree.at("param_groups").list();
    *groups[1].dict().find(option) = std::move(value);
    *tree.find(std::string("param_groups")) = groups;
    return error_of([&] { load_optimizer_state_dict(*adam, tree); });
  };
  CHECK(contains(with("maximize", true), "incompatible: "));
  CHECK(contains(with("maximize", true), "param_groups.1.maximize"));
  CHECK(contains(with("decoupled_weight_decay", true), "decoupled_weight_decay"));
  CHECK(contains(with("params", Value::List{0}), "4 parameters here, 1 saved"));
  CHECK(describe(optimizer_state_dict(*adam)) == before);
  CHECK(with("lr", torch::tensor(0.25)).empty());
  CHECK(
      optimizer_state_dict(*adam).dict().at("param_groups").list()[1].dict().at("lr").to_double() ==
      0.25);
  const auto with_step = [&](Value value) {
    Value tree = saved;
    *tree.dict()
         .find(std::string("state"))
         ->dict()
         .find(int64_t{0})
         ->dict()
         .find(std::string("step")) = std::move(value);
    return error_of([&] { load_optimizer_state_dict(*adam, tree); });
  };
  CHECK(
      contains(with_step(torch::tensor(0.5)), "state.0.step: a value of kind double (0.5) found"));
  CHECK(contains(with_step(torch::full({}, 1e300, torch::kDouble)),
                 "state.0.step: a value of kind double (1e+300)"));
  const auto steps_back = [&] {
    const Value now = optimizer_state_dict(*adam);
    return now.dict().at("state").dict().at(int64_t{0}).dict().at("step").to_tensor();
  };
  CHECK(with_step(7.0).empty());
  CHECK(steps_back().item<double>() == 7);
  CHECK(steps_back().scalar_type() == torch::kFloat);
  CHECK(with_step(torch::tensor((int64_t{1} << 24) + 1)).empty());
  CHECK(steps_back().item<double>() == 0x1p24 + 1);  // No float32 holds it.
  CHECK(with("lr", (int64_t{1} << 53) + 1).find("the int 9007199254740993") != std::string::npos);
  const auto sgd = make_optimizer("SGD", model, true);
  CHECK(contains(error_of([&] { load_optimizer_state_dict(*sgd, saved); }), "momentum"));
  CHECK(contains(error_of([&] { load_optimizer_state_dict(*sgd, Dict()); }), "not the state_dict"));
}

TEST_CASE("a .pth file's table says where each tensor is", "[formats]") {
  Dict tree;
  const at::Tensor tied = torch::arange(5);
  tree.insert("a", tied);
  tree.insert("list", Value::List{tied, torch::ones({2, 2}), torch::zeros({0})});
  StringSink sink;
  const auto table = format::write_pth_with_table(tree, sink);
  REQUIRE(table.size() == 4);
  CHECK(table[1].key == "list.0");
  CHECK(table[1].offset == table[0].offset);
  CHECK(table[2].dtype == "float32");
  CHECK(table[2].shape == std::vector<int64_t>{2, 2});
  CHECK(table[3].bytes == 0);
  for (const store::TensorEntry& entry : table) {
    CHECK(entry.offset % 64 == 0);
    CHECK(base::Digest::of(sink.bytes.data() + entry.offset, entry.bytes) == entry.xxh3_128);
  }
  CHECK(sink.bytes.compare(table[0].offset, 40, static_cast<const char*>(tied.data_ptr()), 40) ==
        0);
}

namespace {

std::string error_loading(const TemporaryDirectory& directory, const std::string& name,
                          const std::string& bytes) {
  std::ofstream(directory / name, std::ios::binary) << bytes;
  return error_of([&] { load(directory / name); });
}

std::string zip_of(const std::vector<std::string>& names) {
  format::HandmadeZip zip;
  for (const std::string& name : names) {
    format::HandmadeZip::Record record;
    record.name = name;
    zip.records.push_back(record);
  }
  return zip.build();
}

}  // namespace

TEST_CASE("a file of another kind is called what it is", "[foreign]") {
  const TemporaryDirectory directory;
  const auto check = [&](const std::string& bytes, const std::string& what, const std::string& hint,
                         const std::string& name = "model.pth") {
    const std::string error = error_loading(directory, name, bytes);
    INFO(error);
    CHECK(contains(error, "unsupported: "));
    CHECK(contains(error, what));
    CHECK(contains(error, hint));
  };
  check("", "holds 0 bytes", "disk may have been full");
  check("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n",
        "a git-lfs pointer", "git lfs pull");
  check("\n<!DOCTYPE html><html><body>404</body></html>", "an HTML page", "Download");
  check("<?xml version='1.0'?><Error>AccessDenied</Error>", "an XML text", "Download");
  check("Entry not found", "this is a text", "download");
  check("{\"weight_map\": {\"w\": \"a.gguf\"}}", "in several files (shards)", "its shards",
        "model.gguf.index.json");
  check("{\"hidden_size\": 768, \"layers\": 12}", "a JSON text", "tensors", "config.json");
  check("\x1f\x8b\x08 and so on", "packed by gzip", "gunzip");
  check("\x28\xb5\x2f\xfd and so on", "packed by zstd", "unzstd");
  check("\x93NUMPY\x01", "an array of NumPy", "torch.from_numpy");
  check("\x89HDF\r\n\x1a\n", "an HDF5 file", "torch.save");
  check("GGUF\x03", "a GGUF file", "safetensors");
  check(std::string(257, 'x') + "ustar" + std::string(200, '\0'), "a tar archive", "PyTorch 0.4");
  check(zip_of({"a.npy", "b.npy"}), "NumPy's arrays (.npz)", "torch.from_numpy");
  check(zip_of({"m/archive_format", "m/models/model.json"}), "torch.export", "state_dict");
  check(zip_of({"a.pth"}), "one of other files", "Unpack it");
  check(zip_of({"readme.txt"}), "not one of LibTorch", "torch.save");
  check(zip_of({}), "an empty zip archive", "again");
  check(zip_of({"a/data.pkl", "b/data.pkl"}), "two data.pkl", "unpack it");
  check("\xff\xfe\xfd\xfc and so on", "its beginning is damaged", "");
}

TEST_CASE("a directory that is no checkpoint says what may be meant", "[foreign]") {
  const TemporaryDirectory directory;
  const auto error = [&] { return error_of([&] { load(directory.path()); }); };
  torch::nn::Module module;
  CHECK(contains(error(), "unsupported: this directory is not a checkpoint"));
  CHECK(contains(error_of([&] { load_state_dict(module, directory.path()); }),
                 "this directory is not a checkpoint"));
  std::ofstream(directory / "weights.safetensors") << "x";
  std::ofstream(directory / "config.json") << "{}";
  CHECK(contains(error(), "Did you mean '" + (directory / "weights.safetensors") + "'?"));
  std::filesystem::create_directory(directory / "epoch-1");
  std::ofstream(directory / "epoch-1/manifest.json") << "{}";
  std::filesystem::create_directory_symlink("epoch-1", directory / "latest");
  CHECK(contains(error(), "Did you mean '" + (directory / "latest") + "', '" +
                              (directory / "epoch-1") + "', '"));
  std::ofstream(directory / ".metadata.tmp") << "x";
  CHECK(contains(error(), "this distributed checkpoint was not saved to its end"));
}

TEST_CASE("a file without names is not loaded into a module", "[foreign]") {
  const TemporaryDirectory directory;
  torch::nn::Module module;
  module.register_buffer("w", torch::zeros({2}));
  save(Value(Value::List{torch::ones({2})}), directory / "list.pth");
  CHECK(contains(error_of([&] { load_state_dict(module, directory / "list.pth"); }),
                 "incompatible: the file holds a list, not named tensors"));
  save(Value(torch::ones({2})), directory / "tensor.pth");
  CHECK(contains(error_of([&] { load_state_dict(module, directory / "tensor.pth"); }),
                 "the file holds a tensor"));
  CHECK(contains(error_of([&] { load_state_dict(module, directory / "tensor.pth", {}, "model"); }),
                 "the file has no item 'model': it holds a tensor"));
  Dict tree;
  tree.insert("epoch", 3);
  tree.insert("state_dict", Dict());
  save(tree, directory / "tree.pth");
  const std::string error =
      error_of([&] { load_state_dict(module, directory / "tree.pth", {}, "model"); });
  CHECK(contains(error, "the file has no item 'model'"));
  CHECK(contains(error, "there are 'epoch' and 'state_dict'"));
}
