#include "format/torch/archive_reader.h"
#include "support/memory_source.h"

#include "support/catch.h"
#include "support/error_of.h"
#include "support/handmade_pickle.h"
#include "support/handmade_zip.h"

#include <torch/torch.h>

#include <cmath>
#include <cstring>
#include <ctime>
#include <limits>
#include <sstream>

using namespace checkpoint;
using namespace checkpoint::format;

namespace {

template <typename T>
std::string saved(const T& object) {
  std::ostringstream stream;
  torch::save(object, stream);
  return stream.str();
}

std::string saved(torch::serialize::OutputArchive& archive) {
  std::ostringstream stream;
  archive.save_to(stream);
  return stream.str();
}

// An archive with one value in it, called "x".
std::string saved_value(const c10::IValue& value) {
  torch::serialize::OutputArchive archive;
  archive.write("x", value);
  return saved(archive);
}

// A file in memory, read.
struct Loaded {
  explicit Loaded(std::string bytes) : source(std::move(bytes)), archive(read_archive(source)) {}

  const Dict& dict() const { return archive.tree().dict(); }
  const Value& x() const { return dict().at("x"); }
  at::Tensor tensor(const Value& value) const {
    return load_tensor(source, archive, value.to_tensor());
  }
  at::Tensor tensor_at(const std::string& key) const { return tensor(dict().at(key)); }

  MemorySource source;
  DecodedArchive archive;
};

// Dtype, sizes, strides, requires_grad, and every element's bits.
void check_same(const at::Tensor& found, const at::Tensor& wanted) {
  REQUIRE(found.scalar_type() == wanted.scalar_type());
  REQUIRE(found.sizes() == wanted.sizes());
  CHECK(found.strides() == wanted.strides());
  CHECK(found.requires_grad() == wanted.requires_grad());
  const at::Tensor left = found.detach().contiguous();
  const at::Tensor right = wanted.detach().contiguous();
  REQUIRE(left.nbytes() == right.nbytes());
  if (left.nbytes() == 0) return;
  CHECK(std::memcmp(left.data_ptr(), right.data_ptr(), left.nbytes()) == 0);
}

// As torch::load reads them: a reader that runs TorchScript and is asked what is right.
void check_against_input_archive(const std::string& bytes, const Dict& found,
                                 const Loaded& loaded) {
  torch::serialize::InputArchive archive;
  std::istringstream stream(bytes);
  archive.load_from(stream);
  const std::function<void(torch::serialize::InputArchive&, const Dict&)> check =
      [&](torch::serialize::InputArchive& right, const Dict& left) {
        const std::vector<std::string> keys = right.keys();
        REQUIRE(left.size() == keys.size());
        for (const std::string& key : keys) {
          INFO(key);
          REQUIRE(left.contains(key));
          const Value& value = left.at(key);
          if (value.is_dict()) {
            torch::serialize::InputArchive inner;
            REQUIRE(right.try_read(key, inner));
            check(inner, value.dict());
          } else if (value.is_tensor()) {
            at::Tensor tensor;
            right.read(key, tensor);
            check_same(loaded.tensor(value), tensor);
          } else {
            c10::IValue other;
            right.read(key, other);
            if (other.isInt()) CHECK(value.to_int() == other.toInt());
            if (other.isDouble()) CHECK(value.to_double() == other.toDouble());
            if (other.isBool()) CHECK(value.to_bool() == other.toBool());
            if (other.isString()) CHECK(value.to_string() == other.toStringRef());
            if (other.isNone()) CHECK(value.is_none());
          }
        }
      };
  check(archive, found);
}

void check_against_input_archive(const std::string& bytes) {
  const Loaded loaded(bytes);
  check_against_input_archive(bytes, loaded.dict(), loaded);
}

// A handmade archive with one tensor.
struct Handmade {
  handmade::Tensor tensor;
  std::string record = std::string(16, '\1');
  HandmadeZip zip;

  Handmade() {
    zip.records.resize(2);
    zip.records[0].name = "archive/data.pkl";
    zip.records[1].name = "archive/data/0";
  }
  std::string build() {
    zip.records[0].bytes =
        handmade::start() + handmade::object(handmade::text("x") + tensor.build()) + ".";
    zip.records[1].bytes = record;
    return zip.build();
  }
  std::string error() {
    const std::string bytes = build();
    return error_of([&] { Loaded loaded(bytes); });
  }
};

}  // namespace

TEST_CASE("tensors of all dtypes come back bit for bit", "[archive]") {
  std::vector<c10::ScalarType> dtypes = {
      at::kFloat, at::kDouble, at::kHalf, at::kBFloat16, at::kLong,         at::kInt,
      at::kShort, at::kChar,   at::kByte, at::kBool,     at::kComplexFloat, at::kComplexDouble};
#if TORCH_VERSION_MAJOR >= 2
  dtypes.insert(dtypes.end(),
                {at::kUInt16, at::kUInt32, at::kUInt64, at::kFloat8_e5m2, at::kFloat8_e4m3fn});
#endif
  for (const c10::ScalarType dtype : dtypes) {
    INFO(c10::toString(dtype));
    const at::Tensor tensor = torch::arange(24).reshape({2, 3, 4}).to(dtype);
    const Loaded loaded(saved_value(tensor));
    check_same(loaded.tensor_at("x"), tensor);
  }
}

TEST_CASE("a placeholder has everything but the elements", "[archive]") {
  const at::Tensor tensor =
      torch::randn({2, 3, 4, 5}).contiguous(at::MemoryFormat::ChannelsLast).requires_grad_();
  const Loaded loaded(saved_value(tensor));
  const at::Tensor& placeholder = loaded.x().to_tensor();
  CHECK(placeholder.is_meta());
  CHECK(placeholder.scalar_type() == at::kFloat);
  CHECK(placeholder.sizes() == tensor.sizes());
  CHECK(placeholder.strides() == tensor.strides());
  CHECK(placeholder.requires_grad());
  CHECK(placeholder.is_leaf());
  const StoredTensor* stored = loaded.archive.find(placeholder);
  REQUIRE(stored != nullptr);
  CHECK(stored->record == "data/0");
  CHECK(stored->record_bytes == 480);
  CHECK(stored->record_offset % 64 == 0);
  CHECK(stored->storage_offset == 0);
  CHECK(stored->device == c10::Device("cpu"));
  CHECK(loaded.archive.find(tensor) == nullptr);
  CHECK(loaded.archive.find(at::Tensor()) == nullptr);
  CHECK(contains(error_of([&] { load_tensor(loaded.source, loaded.archive, tensor); }),
                 "invalid_argument"));
}

TEST_CASE("tensors of odd shapes come back", "[archive]") {
  const at::Tensor base = torch::arange(100, at::kFloat);
  const std::vector<at::Tensor> tensors = {
      torch::empty({0}),
      torch::empty({3, 0, 5}),
      torch::tensor(1.5),
      torch::full({1}, std::numeric_limits<float>::quiet_NaN()),
      torch::randn({4, 6}).t(),
      torch::randn({4, 6}).slice(1, 1, 6, 2),
      torch::ones({1}).expand({5, 7}),
      base.slice(0, 10, 20),
      base.as_strided({3, 4}, {1, 2}, 7),
      base.slice(0, 100, 100),
      torch::randn({2, 3, 4, 5, 6}).contiguous(at::MemoryFormat::ChannelsLast3d),
      torch::randn({3}).requires_grad_(),
  };
  for (size_t i = 0; i < tensors.size(); ++i) {
    INFO("tensor " << i);
    const Loaded loaded(saved_value(tensors[i]));
    check_same(loaded.tensor_at("x"), tensors[i]);
  }
}

TEST_CASE("views of one storage share a record", "[archive]") {
  const at::Tensor base = torch::arange(10);
  torch::serialize::OutputArchive archive;
  archive.write("base", base);
  archive.write("slice", base.slice(0, 2, 5));
  archive.write("again", base);
  archive.write("turned", base.view({2, 5}).t());
  const Loaded loaded(saved(archive));
  check_same(loaded.tensor_at("base"), base);
  check_same(loaded.tensor_at("slice"), base.slice(0, 2, 5));
  check_same(loaded.tensor_at("again"), base);
  check_same(loaded.tensor_at("turned"), base.view({2, 5}).t());
  const StoredTensor* first = loaded.archive.find(loaded.dict().at("base").to_tensor());
  const StoredTensor* second = loaded.archive.find(loaded.dict().at("slice").to_tensor());
  REQUIRE((first != nullptr && second != nullptr));
  CHECK(first->record_offset == second->record_offset);
  CHECK(second->storage_offset == 2);
}

TEST_CASE("values of all kinds come back", "[archive]") {
  torch::serialize::OutputArchive archive;
  archive.write("none", c10::IValue());
  archive.write("int", c10::IValue(-(int64_t{1} << 40)));
  archive.write("double", c10::IValue(0.1));
  archive.write("infinity", c10::IValue(std::numeric_limits<double>::infinity()));
  archive.write("nan", c10::IValue(std::nan("")));
  archive.write("bool", c10::IValue(true));
  archive.write("string", c10::IValue("s\"t\\r\n"));
  archive.write("complex", c10::IValue(c10::complex<double>(1, -2)));
  archive.write("ints", c10::List<int64_t>({1, 1000, int64_t{1} << 40}));
  archive.write("doubles", c10::List<double>({0.5}));
  archive.write("bools", c10::List<bool>({true, false}));
  archive.write("strings", c10::List<std::string>({"a", "b"}));
  archive.write("tensors", c10::List<at::Tensor>({torch::ones({2}), torch::zeros({3})}));
  archive.write("tuple", c10::ivalue::Tuple::create(1, 2.5, "s"));
  c10::impl::GenericList any(c10::AnyType::get());
  any.push_back(1);
  any.push_back("s");
  any.push_back(torch::ones({1}));
  archive.write("any", any);
  archive.write("empty", c10::impl::GenericList(c10::AnyType::get()));
  archive.write("key with.dots/and blanks", c10::IValue(1));
  archive.write("", c10::IValue(2));

  const Loaded loaded(saved(archive));
  const Dict& dict = loaded.dict();
  CHECK(dict.size() == 18);
  CHECK(dict.at("none").is_none());
  CHECK(dict.at("int").to_int() == -(int64_t{1} << 40));
  CHECK(dict.at("double").to_double() == 0.1);
  CHECK(dict.at("infinity").to_double() == std::numeric_limits<double>::infinity());
  CHECK(std::isnan(dict.at("nan").to_double()));
  CHECK(dict.at("bool").to_bool());
  CHECK(dict.at("string").to_string() == "s\"t\\r\n");
  CHECK(dict.at("complex").to_complex() == c10::complex<double>(1, -2));
  CHECK(dict.at("ints").list().at(2).to_int() == int64_t{1} << 40);
  CHECK(dict.at("doubles").list().at(0).to_double() == 0.5);
  CHECK(dict.at("bools").list().at(0).to_bool());
  CHECK(dict.at("strings").list().at(1).to_string() == "b");
  check_same(loaded.tensor(dict.at("tensors").list().at(1)), torch::zeros({3}));
  CHECK(dict.at("tuple").tuple().at(2).to_string() == "s");
  CHECK(dict.at("any").list().at(1).to_string() == "s");
  check_same(loaded.tensor(dict.at("any").list().at(2)), torch::ones({1}));
  CHECK(dict.at("empty").list().empty());
  CHECK(dict.at("key with.dots/and blanks").to_int() == 1);
  CHECK(dict.at("").to_int() == 2);
}

TEST_CASE("nested archives keep their keys' order", "[archive]") {
  torch::serialize::OutputArchive outer;
  torch::serialize::OutputArchive inner(outer.compilation_unit());
  torch::serialize::OutputArchive innermost(outer.compilation_unit());
  innermost.write("z", torch::ones({2}));
  innermost.write("a", torch::zeros({2}), /*is_buffer=*/true);
  inner.write("2", innermost);
  inner.write("1", c10::IValue(1));
  outer.write("inner", inner);
  outer.write("epoch", c10::IValue(5));
  const Loaded loaded(saved(outer));
  const Dict& found = loaded.dict().at("inner").dict();
  std::string order;
  for (const auto& entry : found) order += to_string(entry.first);
  CHECK(order == "21");
  check_same(loaded.tensor(found.at("2").dict().at("a")), torch::zeros({2}));
  CHECK(loaded.dict().at("epoch").to_int() == 5);
}

TEST_CASE("what torch::save writes is read as torch::load reads it", "[archive]") {
  torch::manual_seed(1);
  torch::nn::Sequential model(torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 2, 3)),
                              torch::nn::BatchNorm2d(2), torch::nn::Flatten(),
                              torch::nn::Linear(8, 3));
  const auto step = [&](torch::optim::Optimizer& optimizer) {
    for (int i = 0; i < 3; ++i) {
      optimizer.step([&] {
        optimizer.zero_grad();
        const at::Tensor loss = model->forward(torch::randn({2, 1, 4, 4})).pow(2).sum();
        loss.backward();
        return loss;
      });
    }
  };
  SECTION("a module") { check_against_input_archive(saved(model)); }
  SECTION("Adam") {
    torch::optim::Adam optimizer(model->parameters());
    step(optimizer);
    check_against_input_archive(saved(optimizer));
  }
  SECTION("SGD with momentum") {
    torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.01).momentum(0.9));
    step(optimizer);
    check_against_input_archive(saved(optimizer));
  }
  SECTION("LBFGS") {
    // A short history, so that it is full: LibTorch cannot save the unused places of a longer one.
    torch::optim::LBFGS optimizer(model->parameters(),
                                  torch::optim::LBFGSOptions(0.01).history_size(2));
    step(optimizer);
    check_against_input_archive(saved(optimizer));
  }
  SECTION("a tensor") { check_against_input_archive(saved(torch::randn({3, 4}))); }
  SECTION("a vector of tensors") {
    check_against_input_archive(saved(std::vector<at::Tensor>{torch::ones({2}), torch::ones({0})}));
  }
}

TEST_CASE("a handmade archive is read", "[archive]") {
  Handmade handmade;
  SECTION("as it is") {
    const Loaded loaded(handmade.build());
    CHECK(loaded.archive.size() == 1);
    CHECK(loaded.tensor_at("x").view(at::kByte).eq(1).all().item<bool>());
  }
  SECTION("saved from a device that is not here") {
    handmade.tensor.location = "cuda:5";
    const Loaded loaded(handmade.build());
    CHECK(loaded.archive.find(loaded.x().to_tensor())->device == c10::Device("cuda:5"));
    CHECK(loaded.tensor_at("x").device() == c10::Device("cpu"));
  }
  SECTION("with a byte order") {
    handmade.zip.records.push_back({"archive/byteorder", "little"});
    CHECK(handmade.error().empty());
  }
  SECTION("with metadata that says nothing") {
    handmade.tensor.rest = "}";
    CHECK(handmade.error().empty());
  }
  SECTION("with a storage that ends within an element") {
    handmade.record = std::string(19, '\1');
    CHECK(handmade.error().empty());
  }
}

TEST_CASE("a bad archive is refused, and the error says why", "[archive]") {
  Handmade handmade;
  const int64_t most = std::numeric_limits<int64_t>::max();
  SECTION("no data.pkl") {
    handmade.zip.records[0].name = "archive/data.txt";
    CHECK(contains(handmade.error(), "unsupported: the archive has no data.pkl"));
  }
  SECTION("two data.pkl") {
    handmade.zip.records.push_back({"other/data.pkl", "N."});
    CHECK(contains(handmade.error(), "unsupported: the archive has two data.pkl"));
  }
  SECTION("a data.pkl that is packed in an unknown way") {
    handmade.zip.records[0].method = 12;
    CHECK(contains(handmade.error(),
                   "unsupported: record 'archive/data.pkl' is packed by method 12"));
  }
  SECTION("big-endian") {
    handmade.zip.records.push_back({"archive/byteorder", "big"});
    CHECK(contains(handmade.error(), "unsupported: the archive's byte order is 'big'"));
  }
  SECTION("a missing record") {
    handmade.tensor.key = "../../etc/passwd";
    CHECK(contains(handmade.error(), "corrupt: the archive has a tensor, but not its record"));
  }
  SECTION("a record that is packed in an unknown way") {
    handmade.zip.records[1].method = 12;
    CHECK(
        contains(handmade.error(), "unsupported: record 'archive/data/0' is packed by method 12"));
  }
  SECTION("a record that is too short") {
    handmade.record = std::string(12, '\1');
    CHECK(contains(handmade.error(), "corrupt: record 'data/0' has 12 bytes"));
  }
  SECTION("a record that is too long") {
    handmade.record = std::string(20, '\1');
    CHECK(contains(handmade.error(), "corrupt: record 'data/0' has 20 bytes"));
  }
  SECTION("a storage of another size") {
    for (const int64_t numel : {int64_t{-1}, int64_t{3}, int64_t{5}, most}) {
      handmade.tensor.numel = numel;
      CHECK(contains(handmade.error(), "corrupt: record 'data/0' has 16 bytes"));
    }
  }
  SECTION("226 gigabytes") {
    handmade.tensor.sizes = {int64_t{226} << 28};
    CHECK(contains(handmade.error(), "corrupt: a tensor reaches outside of its record 'data/0'"));
  }
  SECTION("sizes whose product does not fit") {
    handmade.tensor.sizes = {int64_t{1} << 32, int64_t{1} << 32};
    handmade.tensor.strides = {0, 0};
    CHECK(contains(handmade.error(), "reaches outside"));
    handmade.tensor.sizes = {int64_t{1} << 32, int64_t{1} << 32, 0};
    handmade.tensor.strides = {0, 0, 0};
    CHECK(contains(handmade.error(), "reaches outside"));
  }
  SECTION("strides whose product does not fit") {
    handmade.tensor.sizes = {3};
    for (const int64_t stride : {most, most / 2, int64_t{1} << 62}) {
      handmade.tensor.strides = {stride};
      CHECK(contains(handmade.error(), "reaches outside"));
    }
  }
  SECTION("negative numbers") {
    handmade.tensor.sizes = {-1};
    CHECK(contains(handmade.error(), "reaches outside"));
    handmade.tensor.sizes = {2};
    handmade.tensor.strides = {-1};
    CHECK(contains(handmade.error(), "reaches outside"));
    handmade.tensor.strides = {1};
    handmade.tensor.offset = -1;
    CHECK(contains(handmade.error(), "reaches outside"));
  }
  SECTION("a tensor one element too far") {
    handmade.tensor.offset = 1;
    CHECK(contains(handmade.error(), "reaches outside"));
    handmade.tensor.offset = most;
    CHECK(contains(handmade.error(), "reaches outside"));
  }
  SECTION("integers that require a gradient") {
    handmade.tensor.storage_class = "IntStorage";
    handmade.tensor.requires_grad = true;
    CHECK(contains(handmade.error(), "corrupt: a tensor of Int requires a gradient"));
  }
  SECTION("a device that does not exist") {
    for (const char* device :
         {"", "cuda:99999999999999", "cuda:-1", "cuda:01", "cpu:x", "CUDA", "a b"}) {
      handmade.tensor.location = device;
      CHECK(contains(handmade.error(), "which is not a device's name"));
    }
  }
  SECTION("a device of a backend that is not loaded here") {
    handmade.tensor.location = "npu:0";
    CHECK(handmade.error() == "");
  }
  SECTION("a quantized tensor") {
    const at::Tensor tensor = torch::quantize_per_tensor(torch::ones({2}), 0.1, 10, at::kQUInt8);
    const std::string bytes = saved_value(tensor);
    const Loaded loaded(bytes);
    CHECK(loaded.x().opaque().class_name == "torch._utils._rebuild_qtensor");
  }
  SECTION("a sparse tensor") {
    const std::string bytes = saved_value(torch::ones({2}).to_sparse());
    const Loaded loaded(bytes);
    CHECK(loaded.x().opaque().class_name == "torch._utils._rebuild_sparse_tensor");
  }
#if TORCH_VERSION_MAJOR >= 2
  SECTION("a conjugated tensor") {
    const std::string bytes = saved_value(torch::ones({2}, at::kComplexFloat).conj());
    CHECK(contains(error_of([&] { Loaded loaded(bytes); }), "resolve them before saving"));
  }
#endif
}

TEST_CASE("the tree may be moved, and outlives its reading", "[archive]") {
  const MemorySource source(saved_value(torch::ones({3})));
  DecodedArchive archive = read_archive(source);
  const DecodedArchive moved = std::move(archive);
  const at::Tensor& placeholder = moved.tree().dict().at("x").to_tensor();
  check_same(load_tensor(source, moved, placeholder), torch::ones({3}));
}

TEST_CASE("an archive that is cut off or flipped anywhere never does harm", "[archive]") {
  torch::serialize::OutputArchive archive;
  archive.write("w", torch::ones({3}));
  archive.write("n", c10::IValue(5));
  archive.write("l", c10::List<at::Tensor>({torch::ones({2})}));
  const std::string whole = saved(archive);
  // Reads everything there is, wherever the tree has it.
  const auto load_all = [](const std::string& bytes) {
    const Loaded loaded(bytes);
    const std::function<void(const Value&)> visit = [&](const Value& value) {
      if (value.is_tensor()) loaded.tensor(value);
      if (value.kind() == Value::Kind::kList) {
        for (const Value& item : value.list()) visit(item);
      }
      if (value.is_dict()) {
        for (const auto& entry : value.dict()) visit(entry.second);
      }
    };
    visit(loaded.archive.tree());
  };
  load_all(whole);
  for (size_t size = 0; size < whole.size(); ++size) {
    INFO("cut to " << size);
    CHECK_FALSE(error_of([&] { load_all(whole.substr(0, size)); }).empty());
  }
  size_t refused = 0;
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const int mask : {0x01, 0x80, 0xff}) {
      std::string flipped = whole;
      flipped[at] = static_cast<char>(flipped[at] ^ mask);
      if (!error_of([&] { load_all(flipped); }).empty()) ++refused;
    }
  }
  CHECK(refused > 0);
}

TEST_CASE("48,000 tensors are read quickly", "[archive]") {
  std::string items;
  HandmadeZip zip;
  zip.zip64_end = true;
  zip.records.resize(1);
  zip.records[0].name = "archive/data.pkl";
  for (int i = 0; i < 48000; ++i) {
    handmade::Tensor tensor;
    tensor.key = std::to_string(i);
    items += handmade::text("parameter." + tensor.key) + tensor.build();
    zip.records.push_back({"archive/data/" + tensor.key, std::string(16, '\0')});
  }
  zip.records[0].bytes = handmade::start() + handmade::object(items) + ".";
  const MemorySource source(zip.build());
  const std::clock_t start = std::clock();  // Of this process: others may be at work too.
  const DecodedArchive archive = read_archive(source);
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  CHECK(archive.size() == 48000);
  // A generous bound: what it guards against is growth with the square of the number.
  CHECK(seconds < 10.0);
}
