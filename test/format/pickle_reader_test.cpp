#include "format/pickle/pickle_reader.h"

#include "support/catch.h"
#include "support/error_of.h"
#include "support/handmade_pickle.h"

#include <ATen/Functions.h>
#include <torch/csrc/jit/serialization/pickle.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

using namespace checkpoint;
using namespace checkpoint::format;
using namespace checkpoint::format::handmade;
using namespace std::string_literals;

namespace {

const TensorMaker kNoTensors = [](const TensorLayout&) -> at::Tensor {
  throw std::logic_error("there is no tensor in this test");
};

const TensorMaker kEmptyTensors = [](const TensorLayout&) { return at::empty({0}); };

// A whole pickle from its middle.
Value read(const std::string& middle) {
  return read_pickle(start() + middle + ".", "memory.pt", kNoTensors);
}

std::string error_reading(const std::string& middle) {
  return error_of([&] { read_pickle(start() + middle + ".", "memory.pt", kEmptyTensors); });
}

// As LibTorch's own pickler writes it.
Value round_trip(const c10::IValue& value) {
  const std::vector<char> bytes = torch::jit::pickle(value);
  return read_pickle(std::string_view(bytes.data(), bytes.size()), "memory.pt", kNoTensors);
}

}  // namespace

TEST_CASE("plain values come back from LibTorch's pickler", "[pickle]") {
  CHECK(round_trip(c10::IValue()).is_none());
  CHECK(round_trip(true).to_bool());
  CHECK_FALSE(round_trip(false).to_bool());
  for (const int64_t number :
       {int64_t{0}, int64_t{1}, int64_t{-1}, int64_t{255}, int64_t{256}, int64_t{65535},
        int64_t{65536}, int64_t{-65536}, int64_t{2147483647}, int64_t{2147483648},
        int64_t{-2147483648}, int64_t{-2147483649}, std::numeric_limits<int64_t>::max(),
        std::numeric_limits<int64_t>::min()}) {
    CHECK(round_trip(number).to_int() == number);
  }
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double number : {0.0, 1.5, -2.25, 1e300, 5e-324, infinity, -infinity}) {
    CHECK(round_trip(number).to_double() == number);
  }
  CHECK(std::isnan(round_trip(std::nan("")).to_double()));
  CHECK(std::signbit(round_trip(-0.0).to_double()));
  CHECK(round_trip(c10::complex<double>(1.5, -2.0)).to_complex() ==
        c10::complex<double>(1.5, -2.0));
  CHECK(round_trip(std::string()).to_string().empty());
  const std::string odd("a\0b\n\"\\\xff", 7);
  CHECK(round_trip(odd).to_string() == odd);
  CHECK(round_trip(std::string(100000, 'x')).to_string() == std::string(100000, 'x'));
  CHECK(round_trip(c10::Device("cuda:1")).to_device() == c10::Device("cuda:1"));
}

TEST_CASE("containers come back from LibTorch's pickler", "[pickle]") {
  SECTION("typed lists") {
    const Value integers = round_trip(c10::List<int64_t>({1, -2, 300}));
    REQUIRE(integers.list().size() == 3);
    CHECK(integers.list()[1].to_int() == -2);
    CHECK(round_trip(c10::List<double>({1.5})).list().at(0).to_double() == 1.5);
    CHECK(round_trip(c10::List<bool>({true})).list().at(0).to_bool());
    CHECK(round_trip(c10::List<std::string>({"a", "b"})).list().at(1).to_string() == "b");
    CHECK(round_trip(c10::List<int64_t>()).list().empty());
  }
  SECTION("a list of anything") {
    c10::impl::GenericList list(c10::AnyType::get());
    list.push_back(1);
    list.push_back("s");
    list.push_back(c10::IValue());
    const Value value = round_trip(list);
    REQUIRE(value.list().size() == 3);
    CHECK(value.list()[0].to_int() == 1);
    CHECK(value.list()[1].to_string() == "s");
    CHECK(value.list()[2].is_none());
  }
  SECTION("tuples of any size") {
    for (size_t size = 0; size < 6; ++size) {
      std::vector<c10::IValue> items(size, c10::IValue(7));
      const Value value = round_trip(c10::ivalue::Tuple::create(items));
      CHECK(value.kind() == Value::Kind::kTuple);
      CHECK(value.tuple().size() == size);
    }
  }
  SECTION("dicts keep their order") {
    c10::impl::GenericDict dict(c10::StringType::get(), c10::AnyType::get());
    dict.insert("z", 1);
    dict.insert("a", "x");
    const Value value = round_trip(dict);
    REQUIRE(value.dict().size() == 2);
    CHECK(to_string(value.dict().begin()->first) == "z");
    CHECK(value.dict().at("a").to_string() == "x");
  }
  SECTION("dicts with integer keys") {
    c10::impl::GenericDict dict(c10::IntType::get(), c10::AnyType::get());
    dict.insert(-5, 1);
    CHECK(round_trip(dict).dict().at(int64_t{-5}).to_int() == 1);
  }
  SECTION("a list in two places becomes two") {
    const c10::List<int64_t> shared({1, 2});
    c10::impl::GenericList list(c10::AnyType::get());
    list.push_back(shared);
    list.push_back(shared);
    const Value value = round_trip(list);
    REQUIRE(value.list().size() == 2);
    CHECK(value.list()[0].list().size() == 2);
    CHECK(value.list()[1].list().at(1).to_int() == 2);
  }
}

TEST_CASE("what other picklers of protocol 2 write is read too", "[pickle]") {
  CHECK(read(std::string("\x8a\x00", 2)).to_int() == 0);
  CHECK(read("\x8a\x01\xff").to_int() == -1);
  CHECK(read(std::string("\x8a\x05\0\0\0\0\x01", 7)).to_int() == (int64_t{1} << 32));
  CHECK(read("]K\x01"
             "a")
            .list()
            .at(0)
            .to_int() == 1);
  CHECK(read("}" + text("k") + "Ns").dict().at("k").is_none());
  SECTION("a list that is filled after it was remembered") {
    const Value value = read("]q" + little(0, 1) + "(K\x01" + "K\x02" + "e");
    CHECK(value.list().size() == 2);
    const Value twice = read("(]q" + little(0, 1) + "h" + little(0, 1) + "(K\x01" + "et");
    REQUIRE(twice.tuple().size() == 2);
    CHECK(twice.tuple()[0].list().size() == 1);
    CHECK(twice.tuple()[1].list().size() == 1);
  }
  SECTION("large numbers in the memo") {
    std::string middle = "(";
    for (int i = 0; i < 300; ++i) middle += text(std::to_string(i)) + "r" + little(i, 4);
    const Value value = read(middle + "j" + little(299, 4) + "t");
    CHECK(value.tuple().back().to_string() == "299");
  }
}

TEST_CASE("the strings of Python 2 are read", "[pickle]") {
  CHECK(read("U\x05hello").to_string() == "hello");
  CHECK(read("U\x02\xc3\xa9").to_string() == "\u00e9");
  // No UTF-8: each byte is a character.
  CHECK(read("U\x01\xe9").to_string() == "\u00e9");
  CHECK(read("T" + little(300, 4) + std::string(300, 'x')).to_string() == std::string(300, 'x'));
  CHECK(read("}U\x01kU\x01vs").dict().at("k").to_string() == "v");
  const std::string pairs = list(list("U\x01"
                                      "bK\x02") +
                                 list("U\x01"
                                      "aK\x01"));
  const Value ordered = read(global("collections", "OrderedDict") + tuple(pairs) + "R");
  REQUIRE(ordered.dict().size() == 2);
  CHECK(to_string(ordered.dict().begin()->first) == "b");
  CHECK(ordered.dict().at("a").to_int() == 1);
  CHECK(read(global("torch", "device") + "U\x03"
                                         "cpu\x85R")
            .to_device() == c10::Device("cpu"));
}

TEST_CASE("what Python holds in sets, deques and bytearrays is read as plain data", "[pickle]") {
  const auto numbers = [](const Value& value) {
    std::vector<int64_t> result;
    for (const Value& item : value.list()) result.push_back(item.to_int());
    return result;
  };
  const std::vector<int64_t> wanted = {1, 2};
  const std::string items = list("K\x01K\x02");
  CHECK(numbers(read("\x8f(K\x01K\x02\x90")) == wanted);
  CHECK(numbers(read("(K\x01K\x02\x91")) == wanted);
  CHECK(numbers(read(global("__builtin__", "set") + tuple(items) + "R")) == wanted);
  CHECK(numbers(read(global("builtins", "frozenset") + tuple(items) + "R")) == wanted);
  CHECK(read(global("builtins", "set") + ")R").list().empty());
  CHECK(numbers(read(global("collections", "deque") + ")R(K\x01K\x02"
                                                      "e")) == wanted);
  CHECK(read("\x96" + little(2, 8) +
             "\xff"
             "x")
            .to_bytes() == "\xffx");
  const std::string array = global("__builtin__", "bytearray");
  CHECK(read(array + tuple(text("\u00e9") + text("latin-1")) + "R").to_bytes() == "\xe9");
  CHECK(read(array + tuple("C\x01\xff") + "R").to_bytes() == "\xff");
  CHECK(read(array + ")R").to_bytes().empty());
}

TEST_CASE("a tuple that turned out to hold itself is read up to there", "[pickle]") {
  CHECK(read("K\x01K\x02"
             "0")
            .to_int() == 1);
  CHECK(read("K\x01(K\x02K\x03"
             "1")
            .to_int() == 1);
  CHECK(read("K\x01(0").to_int() == 1);
}

TEST_CASE("tensors of before 0.4 are read", "[pickle]") {
  std::vector<TensorLayout> made;
  const TensorMaker maker = [&](const TensorLayout& tensor) {
    made.push_back(tensor);
    return at::zeros({2});
  };
  const auto read_tensor = [&](const std::string& middle) {
    return read_pickle(start() + middle + ".", "memory.pt", maker).to_tensor();
  };
  const auto old_tensor = [](const std::string& of_storage) {
    return global("torch._utils", "_rebuild_tensor") +
           tuple(of_storage + integer(1) + integers({2}) + integers({1})) + "R";
  };
  const auto view = [](const std::string& part) {
    return tuple(text("storage") + global("torch.cuda", "FloatStorage") + text("7") + text("cpu") +
                 integer(10) + part) +
           "Q";
  };
  const std::string parameter = global("torch.nn.parameter", "Parameter");
  SECTION("plain") {
    CHECK_FALSE(read_tensor(old_tensor(storage("FloatStorage", "0", "cpu", 4))).requires_grad());
    REQUIRE(made.size() == 1);
    CHECK(made[0].storage_offset == 1);
    CHECK(made[0].sizes == Dimensions{2});
    CHECK(made[0].strides == Dimensions{1});
  }
  SECTION("in a part of a storage") {
    read_tensor(old_tensor(view(tuple(text("8") + integer(5) + integer(4)))));
    CHECK(made.at(0).storage_offset == 6);
    CHECK(made.at(0).storage_numel == 10);
    CHECK(contains(error_reading(old_tensor(view(tuple(text("8") + integer(7) + integer(4))))),
                   "corrupt: the pickle cannot be read at byte"));
  }
  SECTION("parameters") {
    const std::string tensor = old_tensor(storage("FloatStorage", "0", "cpu", 4));
    const std::string state = tuple("\x88\x89" + ordered_dict());
    CHECK(read_tensor(parameter + tuple(tensor) + "\x81" + state + "b").requires_grad());
    const std::string frozen = tuple("\x89\x89" + ordered_dict());
    CHECK_FALSE(read_tensor(parameter + tuple(tensor) + "R" + frozen + "b").requires_grad());
    CHECK(read_tensor(parameter + tuple(tensor + "\x88") + "\x81").requires_grad());
    CHECK(contains(error_reading(parameter + tuple(tensor) + "\x81)b"), "a state of its own"));
  }
}

TEST_CASE("a bare storage is read as a tensor of all its elements", "[pickle]") {
  const TensorMaker maker = [](const TensorLayout& tensor) {
    CHECK(tensor.storage_key == "5");
    CHECK(tensor.sizes == Dimensions{4});
    CHECK(tensor.strides == Dimensions{1});
    return at::zeros({4}, tensor.dtype);
  };
  const Value value =
      read_pickle(start() + storage("IntStorage", "5", "cpu", 4) + ".", "memory.pt", maker);
  CHECK(value.to_tensor().scalar_type() == at::kInt);
  const std::string untyped = tuple(text("storage") + global("torch.storage", "UntypedStorage") +
                                    text("5") + text("cpu") + integer(4)) +
                              "Q";
  CHECK(read_pickle(start() + untyped + ".", "memory.pt", maker).to_tensor().scalar_type() ==
        at::kByte);
}

namespace {

std::string numpy_type(const std::string& type, const std::string& order) {
  return global("numpy", "dtype") + tuple(text(type) + "\x89\x88") + "R" +
         tuple("K\x03" + text(order) + "NNN" + integer(-1) + integer(-1) + "K\x00"s) + "b";
}

std::string numpy_scalar(const std::string& type, const std::string& order,
                         const std::string& bytes) {
  return global("numpy._core.multiarray", "scalar") +
         tuple(numpy_type(type, order) + "B" + little(bytes.size(), 4) + bytes) + "R";
}

std::string numpy_array(const std::string& type, const std::string& order,
                        const std::vector<int64_t>& shape, bool fortran, const std::string& bytes) {
  return global("numpy.core.multiarray", "_reconstruct") +
         tuple(global("numpy", "ndarray") + integers({0}) +
               "C\x01"
               "b") +
         "R" +
         tuple("K\x01" + integers(shape) + numpy_type(type, order) + (fortran ? "\x88" : "\x89") +
               "B" + little(bytes.size(), 4) + bytes) +
         "b";
}

}  // namespace

TEST_CASE("NumPy's numbers are read as Python's", "[pickle]") {
  CHECK(read(numpy_scalar("i8", "<", little(5, 8))).to_int() == 5);
  CHECK(read(numpy_scalar("i2", ">", "\xff\xfe")).to_int() == -2);
  CHECK(read(numpy_scalar("u1", "|", "\xff")).to_int() == 255);
  CHECK(read(numpy_scalar("u8", "<", std::string(8, '\xff'))).to_big_int().bytes ==
        std::string(8, '\xff') + '\0');
  CHECK(read(numpy_scalar("f8", "<", little(0x3ff8000000000000, 8))).to_double() == 1.5);
  CHECK(read(numpy_scalar("f4", ">", "\x3f\xc0\0\0"s)).to_double() == 1.5);
  CHECK(read(numpy_scalar("f2", "<", little(0x3e00, 2))).to_double() == 1.5);
  CHECK(read(numpy_scalar("b1", "|", "\1")).to_bool());
  CHECK(read(numpy_scalar("c8", "<", little(0x3fc00000, 4) + little(0, 4))).to_complex() ==
        c10::complex<double>(1.5, 0));
  CHECK(read(numpy_scalar("U3", "<", little('a', 4) + little(0x20ac, 4) + little(0, 4)))
            .to_string() == "a\u20ac");
  CHECK(read(numpy_scalar("S2", "|", "ab")).to_bytes() == "ab");
  // Python 2, whose str it is.
  CHECK(read(global("numpy.core.multiarray", "scalar") +
             tuple(numpy_type("f4", "<") + "U\x04" + little(0x3fc00000, 4)) + "R")
            .to_double() == 1.5);
  // What a tree cannot hold, or what is incomplete.
  CHECK(read(numpy_scalar("M8", "<", little(5, 8))).opaque().class_name ==
        "numpy._core.multiarray.scalar");
  CHECK(read(numpy_scalar("f8", "<", "1234")).kind() == Value::Kind::kOpaque);
  CHECK(read(numpy_scalar("U1", "<", little(0xffffffff, 4))).kind() == Value::Kind::kOpaque);
}

TEST_CASE("NumPy's arrays are read as tensors", "[pickle]") {
  const auto read_array = [](const std::string& middle) {
    std::optional<TensorLayout> made;
    const TensorMaker maker = [&](const TensorLayout& tensor) {
      made = tensor;
      return at::empty({0});
    };
    const Value value = read_pickle(start() + middle + ".", "memory.pt", maker);
    CHECK(value.is_tensor() == made.has_value());
    return made;
  };
  const std::string six = std::string(24, '\1');
  const auto plain = read_array(numpy_array("f4", "<", {2, 3}, false, six));
  REQUIRE(plain.has_value());
  CHECK(plain->dtype == at::kFloat);
  CHECK(plain->sizes == Dimensions{2, 3});
  CHECK(plain->strides == Dimensions{3, 1});
  CHECK(*plain->bytes == six);
  CHECK_FALSE(plain->big_endian);
  const auto fortran = read_array(numpy_array("i4", ">", {2, 3}, true, six));
  REQUIRE(fortran.has_value());
  CHECK(fortran->strides == Dimensions{1, 2});
  CHECK(fortran->big_endian);
  const auto buffer = read_array(
      global("numpy._core.numeric", "_frombuffer") +
      tuple("\x96" + little(24, 8) + six + numpy_type("f8", "<") + integers({3}) + text("C")) +
      "R");
  REQUIRE(buffer.has_value());
  CHECK(buffer->dtype == at::kDouble);
  CHECK_FALSE(read_array(numpy_array("f4", "<", {2, 4}, false, six)).has_value());
  CHECK_FALSE(read_array(numpy_array("O8", "|", {3}, false, six)).has_value());
  CHECK_FALSE(read_array(numpy_array("f4", "<", {int64_t{1} << 40, int64_t{1} << 40}, false, six))
                  .has_value());
  CHECK_FALSE(read_array(numpy_array("f4", "<", {-1}, false, six)).has_value());
}

TEST_CASE("an object of a TorchScript class becomes a dict of its attributes", "[pickle]") {
  const Value value = read(object(text("b") + "K\x01" + text("a") + object("", "Inner")));
  REQUIRE(value.dict().size() == 2);
  CHECK(to_string(value.dict().begin()->first) == "b");
  CHECK(value.dict().at("a").dict().empty());
}

TEST_CASE("a tensor is described in full", "[pickle]") {
  Tensor wanted;
  wanted.storage_class = "LongStorage";
  wanted.key = "17";
  wanted.location = "cuda:3";
  wanted.numel = 100;
  wanted.offset = 7;
  wanted.sizes = {2, 3};
  wanted.strides = {3, 1};
  wanted.requires_grad = true;
  int calls = 0;
  const TensorMaker maker = [&](const TensorLayout& tensor) {
    ++calls;
    CHECK(tensor.storage_key == "17");
    CHECK(tensor.location == "cuda:3");
    CHECK(tensor.dtype == at::kLong);
    CHECK(tensor.storage_numel == 100);
    CHECK(tensor.storage_offset == 7);
    CHECK(tensor.sizes == Dimensions{2, 3});
    CHECK(tensor.strides == Dimensions{3, 1});
    CHECK(tensor.requires_grad);
    return at::empty({0});
  };
  SECTION("once") {
    CHECK(read_pickle(start() + wanted.build() + ".", "memory.pt", maker).is_tensor());
    CHECK(calls == 1);
  }
  SECTION("in two places, as one tensor") {
    const std::string zero = little(0, 1);
    const Value value = read_pickle(start() + "(" + wanted.build() + "q" + zero + "h" + zero + "t.",
                                    "memory.pt", maker);
    CHECK(calls == 1);
    CHECK(value.tuple().at(0).to_tensor().is_same(value.tuple().at(1).to_tensor()));
  }
}

TEST_CASE("a pickle that names what acts in Python is refused", "[pickle]") {
  const std::string os = error_reading(global("os", "system") + tuple(text("rm -rf /")) + "R");
  CHECK(contains(os, "unsupported: the pickle cannot be read at byte 2"));
  CHECK(contains(os, "'os.system'"));
  CHECK(contains(os, "Nothing was run"));
  // Even where it is not called.
  CHECK(contains(error_reading(global("builtins", "eval")), "'builtins.eval'"));
  CHECK(contains(error_reading(global("__builtin__", "execfile")), "'__builtin__.execfile'"));
  CHECK(contains(error_reading(global("subprocess", "Popen")), "'subprocess.Popen'"));
  CHECK(contains(error_reading(global("os.path", "join")), "'os.path.join'"));
}

TEST_CASE("what this library does not know is read as an opaque value", "[pickle]") {
  SECTION("an object with a state") {
    const Value value = read(global("argparse", "Namespace") + ")\x81" +
                             dict(text("lr") + "K\x05" + text("name") + text("x")) + "b");
    CHECK(value.opaque().class_name == "argparse.Namespace");
    REQUIRE(value.opaque().parts.size() == 1);
    CHECK(value.opaque().parts[0].dict().at("lr").to_int() == 5);
    const std::string error = error_of([&] { value.to_tensor(); });
    CHECK(contains(error, "incompatible: an object of the class 'argparse.Namespace'"));
    CHECK(contains(error, "one of kind tensor is needed"));
    CHECK(contains(error, "vars(args)"));
    CHECK(contains(error_of([&] { value.dict(); }), "'argparse.Namespace'"));
  }
  SECTION("a call with arguments") {
    const Value value =
        read(global("pathlib", "PosixPath") + tuple(text("/") + text("home")) + "R");
    CHECK(value.opaque().class_name == "pathlib.PosixPath");
    REQUIRE(value.opaque().parts.size() == 2);
    CHECK(value.opaque().parts[1].to_string() == "home");
  }
  SECTION("a list and a dict with a class of their own") {
    const Value items = read(global("m", "List") +
                             ")\x81(K\x01K\x02"
                             "eK\x03"
                             "a");
    CHECK(items.opaque().parts.at(0).list().size() == 3);
    const Value entries =
        read(global("m", "Dict") + ")\x81(" + text("a") + "K\x01u" + text("b") + "K\x02s");
    CHECK(entries.opaque().parts.at(0).dict().at("b").to_int() == 2);
  }
  SECTION("a call with keywords") {
    const Value value = read(global("m", "C") + "K\x01\x85" + dict(text("k") + "K\x02") + "\x92");
    REQUIRE(value.opaque().parts.size() == 2);
    CHECK(value.opaque().parts[1].dict().at("k").to_int() == 2);
  }
  SECTION("by the function that Python 2 makes objects with") {
    CHECK(read(global("copy_reg", "_reconstructor") +
               tuple(global("m", "Old") + global("__builtin__", "object") + "N") + "R")
              .opaque()
              .class_name == "m.Old");
  }
  SECTION("names alone") {
    CHECK(read(global("torch.optim.adam", "Adam")).opaque().class_name == "torch.optim.adam.Adam");
    CHECK(read(global("__builtin__", "complex")).opaque().class_name == "builtins.complex");
    CHECK(read(global("builtins", "int")).opaque().class_name == "builtins.int");
    CHECK(read(global("torch", "FloatStorage")).opaque().class_name == "torch.FloatStorage");
    CHECK(read(global("\x1b[2J", "x")).opaque().class_name == "\x1b[2J.x");
  }
  SECTION("a known call with something unknown") {
    const Value value = read(global("torch._utils", "_rebuild_parameter") +
                             tuple(global("torch._utils", "_rebuild_sparse_tensor") + tuple("N") +
                                   "R\x88" + ordered_dict()) +
                             "R");
    CHECK(value.opaque().class_name == "torch._utils._rebuild_parameter");
    CHECK(value.opaque().parts.at(0).opaque().class_name == "torch._utils._rebuild_sparse_tensor");
  }
  SECTION("a defaultdict's class is left out") {
    CHECK(read(global("collections", "defaultdict") + tuple(global("m", "C")) + "R").is_dict());
  }
  SECTION("a dict with other keys") {
    const Value value = read(dict(text("a") + "K\x01" + tuple(text("b") + "K\x02") + "K\x03"));
    CHECK(value.opaque().class_name == "dict with the key ('b', 2)");
    REQUIRE(value.opaque().parts.size() == 2);
    CHECK(value.opaque().parts[1].tuple().at(1).to_int() == 3);
    CHECK(read(dict("NN")).opaque().class_name == "dict with the key None");
    CHECK(read(dict("\x88N")).opaque().class_name == "dict with the key True");
    CHECK(read(dict(global("m", "C") + "N")).opaque().class_name == "dict with the key m.C");
  }
  SECTION("objects that hold each other") {
    const std::string zero = little(0, 1);
    const Value value =
        read(global("m", "A") + ")\x81q" + zero + dict(text("me") + "h" + zero) + "b");
    const Value& inner = value.opaque().parts.at(0).dict().at("me");
    CHECK(inner.opaque().class_name == "m.A");
    CHECK(inner.opaque().parts.empty());
    // Each of a thousand holds all before it: as one tree, more than any memory.
    std::string middle = "(";
    for (int i = 0; i < 1000; ++i) {
      middle += global("m", "A") + ")\x81r" + little(i, 4) + "(";
      for (int k = std::max(0, i - 20); k < i; ++k) middle += "j" + little(k, 4);
      middle += "tb";
    }
    CHECK(read(middle + "t").tuple().size() == 1000);
    // And a chain of them: its end has no parts.
    std::string chain;
    for (int i = 0; i < 100000; ++i) chain += global("m", "A") + ")\x81";
    CHECK(read(chain + std::string(99999, 'b')).opaque().parts.size() == 1);
  }
  SECTION("where it cannot stand") {
    const std::string error =
        error_reading(global("torch", "Size") + tuple(tuple(global("m", "C"))) + "R");
    CHECK(contains(error, "unsupported: "));
    CHECK(contains(error, "'m.C', which this library does not know, instead of an integer"));
  }
  SECTION("as a dtype of another LibTorch") {
    const auto error_of_storage = [](const std::string& name) {
      return error_reading(
          tuple(text("storage") + global("torch", name) + text("0") + text("cpu") + "K\x01") + "Q");
    };
    CHECK(
        contains(error_of_storage("Float3Storage"),
                 "a tensor is of 'torch.Float3Storage', a dtype that this LibTorch does not have"));
    const std::string storage = tuple(text("storage") + global("torch", "UntypedStorage") +
                                      text("0") + text("cpu") + "K\x01") +
                                "Q";
    const std::string error =
        error_reading(global("torch._utils", "_rebuild_tensor_v3") +
                      tuple(storage + "K" + little(0, 1) + tuple("K\x01") + tuple("K\x01") +
                            "\x89" + ordered_dict() + global("torch", "float3")) +
                      "R");
    CHECK(contains(error, "'torch.float3', a dtype that this LibTorch does not have"));
  }
}

TEST_CASE("a pickle that would have to be run is refused", "[pickle]") {
  CHECK(contains(error_reading(global("__torch__", "M") + ")\x81" + tuple("N") + "b"),
                 "__setstate__"));
  CHECK(contains(error_reading(global("__torch__", "M") + tuple("N") + "\x81"),
                 "'__torch__.M' is made with arguments"));
  CHECK(contains(error_reading(global("__torch__", "Color") + tuple("K\x01") + "R"),
                 "'__torch__.Color', as an enumeration does"));
}

TEST_CASE("a damaged pickle is refused, with the byte", "[pickle]") {
  const auto error_of_all = [](const std::string& bytes) {
    return error_of([&] { read_pickle(bytes, "memory.pt", kEmptyTensors); });
  };
  SECTION("empty") { CHECK(contains(error_of_all(""), "corrupt")); }
  SECTION("not a pickle") { CHECK(contains(error_of_all("hello"), "does not begin as a pickle")); }
  SECTION("another protocol") {
    CHECK(contains(error_of_all("\x80\x06N."), "unsupported: the pickle cannot be read at byte 0"));
  }
  SECTION("no end") {
    CHECK(contains(error_of_all("\x80\x02N"), "corrupt: the pickle cannot be read at byte 3"));
  }
  SECTION("bytes behind the end") {
    CHECK(contains(error_of_all("\x80\x02N.N"), "bytes follow its end"));
  }
  SECTION("nothing left at the end") { CHECK(contains(error_reading(""), "not one value")); }
  SECTION("too much left at the end") { CHECK(contains(error_reading("NN"), "not one value")); }
  SECTION("a mark left at the end") { CHECK(contains(error_reading("N("), "not one value")); }
  SECTION("an opcode that LibTorch does not write") {
    CHECK(contains(error_reading("i"), "unsupported"));
    CHECK(contains(error_reading("i"), "opcode 0x69"));
  }
  SECTION("a text that is longer than the pickle") {
    CHECK(contains(error_reading("X\xff\xff\xff\xff"
                                 "abc"),
                   "cut off"));
  }
  SECTION("a number that is cut off") { CHECK(contains(error_reading("G1234"), "cut off")); }
  SECTION("an integer of two thousand bytes") {
    CHECK(contains(error_reading("\x8b" + little(2000, 4) + std::string(2000, '1')),
                   "an integer of 2000 bytes"));
  }
  SECTION("a name without an end") {
    CHECK(contains(error_reading("c" + std::string(10000, 'x')), "a name in it has no end"));
  }
  SECTION("tuples of nothing") {
    CHECK(contains(error_reading("\x85"), "stack is empty"));
    CHECK(contains(error_reading("N\x86"), "stack is empty"));
    CHECK(contains(error_reading("t"), "no mark"));
  }
  SECTION("a reach below the mark") { CHECK(contains(error_reading("NN(\x86"), "stack is empty")); }
  SECTION("remembering nothing") {
    CHECK(contains(error_reading("q" + little(0, 1)), "stack is empty"));
  }
  SECTION("recalling what was never remembered") {
    CHECK(contains(error_reading("h" + little(0, 1)), "not remembered"));
    CHECK(contains(error_reading("Nq\x02h\x01"), "not remembered"));
    CHECK(contains(error_reading("j\xff\xff\xff\xff"), "not remembered"));
  }
  SECTION("a memo of four billion") {
    CHECK(contains(error_reading("Nr\xff\xff\xff\xff"), "impossible number"));
  }
  SECTION("appending to what is no list") {
    CHECK(contains(error_reading("}Na"), "something else than a list"));
    CHECK(contains(error_reading("(Ne"), "stack is empty"));
  }
  SECTION("filling what is no dict") {
    CHECK(contains(error_reading("]NNs"), "something else than a dict"));
  }
  SECTION("a key without a value") { CHECK(contains(error_reading("}(Nu"), "no value")); }
  SECTION("the same key twice") {
    CHECK(contains(error_reading(dict(text("k") + "N" + text("k") + "N")), "key 'k' twice"));
  }
  SECTION("calling what is no function") {
    CHECK(contains(error_reading("N)R"), "something else than the name of a function"));
    CHECK(contains(error_reading(global("builtins", "complex") + "NR"), "something else"));
  }
  SECTION("the wrong arguments") {
    CHECK(contains(error_reading(global("builtins", "complex") + ")R"), "number of arguments"));
    CHECK(
        contains(error_reading(global("builtins", "complex") + tuple("NN") + "R"), "a real part"));
    CHECK(contains(error_reading(global("torch.jit._pickle", "build_intlist") + tuple("N") + "R"),
                   "something else than a list"));
    CHECK(
        contains(error_reading(global("torch.jit._pickle", "restore_type_tag") + tuple("NN") + "R"),
                 "the name of a type"));
    CHECK(contains(error_reading(global("collections", "OrderedDict") + tuple("N") + "R"),
                   "a list of pairs"));
    CHECK(contains(error_reading(global("torch", "device") + tuple("N") + "R"), "a device"));
  }
  SECTION("objects") {
    CHECK(contains(error_reading(global("__torch__", "M") + ")\x81"), "no state"));
    CHECK(contains(error_reading(object("") + "}b"), "filled twice"));
    CHECK(contains(error_reading("]}b"), "an object to fill"));
    CHECK(contains(error_reading("N)\x81"), "a TorchScript class"));
  }
  SECTION("something outside that is no storage") {
    CHECK(contains(error_reading("NQ"), "a storage's description"));
    CHECK(contains(error_reading(tuple(text("module") + "NNNN") + "Q"), "not a storage"));
    CHECK(contains(error_reading(tuple(text("storage")) + "Q"), "not a storage"));
  }
  SECTION("tensors") {
    Tensor tensor;
    tensor.sizes = {1, 2};
    CHECK(contains(error_reading(tensor.build()), "another number of strides"));
    tensor = Tensor();
    tensor.sizes = tensor.strides = std::vector<int64_t>(65, 1);
    CHECK(contains(error_reading(tensor.build()), "65 dimensions"));
    tensor = Tensor();
    tensor.hooks = dict("K\x01N");
    CHECK(contains(error_reading(tensor.build()), "unsupported"));
    CHECK(contains(error_reading(tensor.build()), "backward hooks"));
    tensor = Tensor();
    tensor.rest = dict(text("conj") + "\x88");
    CHECK(contains(error_reading(tensor.build()), "resolve them before saving"));
    tensor.rest = "}NN";
    CHECK(contains(error_reading(tensor.build()), "number of arguments"));
  }
}

TEST_CASE("a pickle cannot ask for much more than it is large", "[pickle]") {
  const std::string zero = little(0, 1);
  SECTION("a list that contains itself") {
    CHECK(contains(error_reading("]q" + zero + "h" + zero + "a"), "contain themselves"));
  }
  SECTION("a dict that contains itself") {
    CHECK(
        contains(error_reading("}q" + zero + text("k") + "h" + zero + "s"), "contain themselves"));
  }
  SECTION("an object that contains itself") {
    CHECK(contains(error_reading(global("__torch__", "M") + ")\x81q" + zero + "}" + text("k") +
                                 "h" + zero + "sb"),
                   "contain themselves"));
  }
  SECTION("nesting") {
    const auto nested = [](int depth) { return "N" + std::string(depth, '\x85'); };
    CHECK(error_reading(nested(256)).empty());
    CHECK(contains(error_reading(nested(257)), "nested deeper than 256"));
    CHECK(contains(error_reading(nested(10000000)), "nested deeper than 256"));
  }
  SECTION("lists that double sixty times") {
    std::string middle = "]";
    for (int i = 0; i < 60; ++i) {
      const std::string at = little(i, 1);
      middle += "q" + at + "h" + at + "\x86";  // A pair of what it was before.
    }
    CHECK(contains(error_reading(middle), "far more memory"));
  }
  SECTION("a long list in a million places") {
    std::string middle = "(](" + std::string(100000, 'N') + "eq" + zero;
    for (int i = 0; i < 100000; ++i) middle += "h" + zero;
    CHECK(contains(error_reading(middle + "t"), "far more memory"));
  }
  SECTION("a long text in a million places") {
    std::string middle = "(" + text(std::string(1000000, 'x')) + "q" + zero;
    for (int i = 0; i < 100000; ++i) middle += "h" + zero;
    CHECK(contains(error_reading(middle + "t"), "far more memory"));
  }
  SECTION("a short text in many places is what LibTorch writes") {
    std::string middle = "(" + text("the label of some class or other") + "q" + zero;
    for (int i = 0; i < 100000; ++i) middle += "h" + zero;
    CHECK(read(middle + "t").tuple().size() == 100001);
  }
  SECTION("a tensor in a few bytes, many times") {
    const std::string one = little(1, 1);
    std::string middle = "(" + global("torch._utils", "_rebuild_tensor_v2") + "q" + zero;
    middle += tuple(storage("FloatStorage", "0", "cpu", 4) + integer(0) + integers({4}) +
                    integers({1}) + "\x89" + ordered_dict()) +
              "q" + one + "R";
    for (int i = 0; i < 200000; ++i) middle += "h" + zero + "h" + one + "R";
    CHECK(contains(error_reading(middle + "t"), "far more memory"));
  }
}

TEST_CASE("a pickle that is cut off or flipped anywhere never does harm", "[pickle]") {
  const std::string whole =
      start() +
      object(text("w") + Tensor().build() + text("list") + list("K\x01" + text("x")) + text("t") +
             tuple("NG12345678") + text("inner") + object(text("k") + integer(5))) +
      ".";
  REQUIRE(error_of([&] { read_pickle(whole, "memory.pt", kEmptyTensors); }).empty());
  for (size_t size = 0; size < whole.size(); ++size) {
    INFO("cut to " << size);
    CHECK_FALSE(
        error_of([&] { read_pickle(whole.substr(0, size), "memory.pt", kEmptyTensors); }).empty());
  }
  for (size_t at = 0; at < whole.size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      std::string flipped = whole;
      flipped[at] = static_cast<char>(value);
      error_of([&] { read_pickle(flipped, "memory.pt", kEmptyTensors); });
    }
  }
}
