// Files made to do harm. Each is read by a child process that may take 16 MB and eight times the
// file's size, and a second of the processor; the reader must refuse it, and say why.

#include "support/catch.h"
#include "support/error_of.h"
#include "support/handmade_pickle.h"
#include "support/handmade_zip.h"
#include "support/sanitized.h"
#include "support/temporary_directory.h"

#include <checkpoint/file.h>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <fstream>
#include <string>
#include <vector>

using namespace checkpoint;
using namespace checkpoint::format;
using namespace checkpoint::format::handmade;

namespace {

struct Hostile {
  std::string name;   // What is bad about it.
  std::string bytes;  // The file.
  std::string error;  // What the reader says of it.
};

const uint64_t kHuge = uint64_t{1} << 63;

std::string pth(const std::string& middle, const std::string& record = std::string(16, '\1')) {
  HandmadeZip zip;
  zip.records = {{"archive/data.pkl", start() + middle + "."}, {"archive/data/0", record}};
  return zip.build();
}

std::string pth_of(const Tensor& tensor) { return pth(dict(text("x") + tensor.build())); }

std::string run(const std::string& module, const std::string& name) {
  return pth(global(module, name) + tuple(text("touch /tmp/harm")) + "R");
}

std::string repeated(const std::string& text, size_t count) {
  std::string result;
  for (size_t i = 0; i < count; ++i) result += text;
  return result;
}

std::string safetensors(const std::string& header, const std::string& data = {}) {
  return little(header.size(), 8) + header + data;
}

std::string tensor_json(const std::string& fields) { return "{\"t\":{" + fields + "}}"; }

std::string number_json(const std::string& dtype, const std::string& shape,
                        const std::string& offsets) {
  return tensor_json("\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
                     ",\"data_offsets\":" + offsets);
}

std::string tree_json(const std::string& tree) {
  std::string quoted;
  for (const char c : tree) quoted += c == '"' ? "\\\"" : std::string(1, c);
  return safetensors("{\"__metadata__\":{\"torch_checkpoint.tree\":\"" + quoted +
                         "\"},\"t\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}",
                     "abcd");
}

// The pickles before the object.
std::string legacy(const std::string& rest) {
  return start() + "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19." + start() + "M\xe9\x03." +
         start() + "}." + rest;
}

std::string legacy_tensor(const std::string& keys, const std::string& data) {
  const std::string fields = text("storage") + global("torch", "FloatStorage") + text("0") +
                             text("cpu") + integer(4) + "N";
  const std::string tensor = global("torch._utils", "_rebuild_tensor_v2") +
                             tuple(tuple(fields) + "Q" + integer(0) + integers({4}) +
                                   integers({1}) + "\x89" + ordered_dict()) +
                             "R";
  return legacy(start() + tensor + "." + start() + keys + "." + data);
}

std::vector<Hostile> zips() {
  HandmadeZip zip;
  zip.records = {{"archive/data.pkl", start() + "N."}, {"archive/data/0", "0123456789abcdef"}};
  std::vector<Hostile> files;
  const auto add = [&](const std::string& name, const HandmadeZip& bad, const std::string& error) {
    files.push_back({"zip: " + name, bad.build(), error});
  };
  HandmadeZip bad = zip;
  bad.records[1].add_to_offset = -20;
  add("records that overlap", bad, "overlaps");
  bad = zip;
  bad.records[1].add_to_offset = 1 << 30;
  add("a record beyond the end of the file", bad, "outside the file");
  bad = zip;
  bad.records[0].in_zip64 = true;
  bad.records[0].add_to_bytes = bad.records[0].add_to_compressed = INT64_MAX - 100;
  add("a record of 2^63 bytes", bad, "outside the file");
  bad = zip;
  bad.records.push_back({"archive/data.pkl", "N."});
  add("two records of one name", bad, "two");
  bad = zip;
  bad.records[0].method = 8;
  bad.records[0].in_zip64 = true;
  bad.records[0].add_to_bytes = int64_t{1} << 40;
  add("a deflated bomb of a terabyte", bad, "more than can be packed");
  bad = zip;
  bad.zip64_end = true;
  bad.add_to_count = INT64_MAX - 10;
  add("2^63 records", bad, "claims");
  bad = zip;
  bad.zip64_end = true;
  bad.add_to_directory_bytes = INT64_MAX - 1000;
  add("a directory of 2^63 bytes", bad, "directory");
  bad = zip;
  bad.zip64_end = true;
  bad.add_to_zip64_record = int64_t{1} << 40;
  add("an end record beyond the end", bad, "zip64 end record");
  bad = zip;
  bad.records[0].local_name = "archive/evil.pkl";
  add("a local header of another name", bad, "another name");
  bad = zip;
  bad.records[0].flags = 1;
  add("an encrypted record", bad, "encrypted");
  bad = zip;
  bad.records.push_back({"archive/byteorder", "middle"});
  add("an unknown byte order", bad, "byte order");
  bad = zip;
  bad.records[0].name = "archive/data.txt";
  add("no data.pkl", bad, "no data.pkl");
  return files;
}

std::vector<Hostile> pickles() {
  Tensor too_far;
  too_far.offset = 1;
  Tensor huge;
  huge.sizes = {int64_t{1} << 40};
  Tensor overflowing;
  overflowing.sizes = {int64_t{1} << 32, int64_t{1} << 32};
  overflowing.strides = {int64_t{1} << 32, int64_t{1} << 32};
  Tensor negative;
  negative.offset = -1;
  Tensor no_record;
  no_record.key = "../../etc/passwd";
  Tensor other_size;
  other_size.numel = INT64_MAX;
  const std::string zero = little(0, 1);
  // Each list holds the one before ten times.
  std::string laughs = "]q" + zero + "(" + repeated("N", 10) + "e";
  for (int level = 1; level < 12; ++level) {
    laughs += "]q" + little(level, 1) + "(" + repeated("h" + little(level - 1, 1), 10) + "e";
  }
  return {
      {"pickle: a __reduce__ that runs a command", run("os", "system"), "'os.system'"},
      {"pickle: the same by the module's other name", run("posix", "system"), "'posix.system'"},
      {"pickle: eval", run("builtins", "eval"), "'builtins.eval'"},
      {"pickle: eval as in Python 2", run("__builtin__", "eval"), "'__builtin__.eval'"},
      {"pickle: a command by STACK_GLOBAL",
       pth(text("os") + text("system") + "\x93" + tuple(text("true")) + "R"), "'os.system'"},
      {"pickle: STACK_GLOBAL of no names", pth("NN\x93"), "something else than a name"},
      {"pickle: a tensor in a storage of an unknown class",
       pth(tuple(text("storage") + global("__main__", "Storage") + text("0") + text("cpu") +
                 integer(4)) +
           "Q"),
       "'__main__.Storage'"},
      {"pickle: an unknown object with two states", pth(global("__main__", "Model") + ")\x81}b}b"),
       "filled twice"},
      {"pickle: a bytearray of 2^63 bytes", pth("\x96" + little(kHuge, 8)), "cut off"},
      {"pickle: a string of Python 2 of 2^31 bytes", pth("T" + little(0x7fffffff, 4)), "cut off"},
      {"pickle: a set that holds itself", pth("\x8fq" + zero + "(h" + zero + "\x90"),
       "contain themselves"},
      {"pickle: an OrderedDict of halves",
       pth(global("collections", "OrderedDict") + tuple(list(list("N"))) + "R"), "no value"},
      {"pickle: NEWOBJ_EX", pth(global("collections", "OrderedDict") + ")}\x92"), "__new__"},
      {"pickle: __setstate__ of a script", pth(global("__torch__", "M") + ")\x81Nb"),
       "__setstate__"},
      {"pickle: bytes in a code of their own",
       pth(global("_codecs", "encode") + tuple(text("x") + text("zlib")) + "R"), "in the code"},
      {"pickle: a frame of 2^63 bytes", pth("\x95" + little(kHuge, 8) + "N"), "a frame"},
      {"pickle: a text of 2^63 bytes", pth("\x8d" + little(kHuge, 8)), "cut off"},
      {"pickle: bytes of 2^63 bytes", pth("\x8e" + little(kHuge, 8)), "cut off"},
      {"pickle: an integer of 2^31 bytes", pth("\x8b" + little(0x7fffffff, 4)),
       "an integer of 2147483647 bytes"},
      {"pickle: an empty stack", pth("0\x85"), "stack is empty"},
      {"pickle: a tuple of what is not there", pth("\x86"), "stack is empty"},
      {"pickle: no mark", pth("t"), "no mark"},
      {"pickle: a memo that was never filled", pth("h\x07"), "not remembered"},
      {"pickle: a memo of four billion", pth("Nr\xff\xff\xff\xff"), "impossible number"},
      {"pickle: a list that contains itself", pth("]q" + zero + "h" + zero + "a"),
       "contain themselves"},
      {"pickle: 100,000 lists within each other", pth(repeated("]", 100000) + repeated("a", 99999)),
       "nested deeper"},
      {"pickle: a billion laughs", pth("(" + laughs + "t"), "far more memory"},
      {"pickle: cut off", pth("X\xff\xff\xff\xff"), "cut off"},
      {"pickle: a tensor one element too far", pth_of(too_far), "reaches outside"},
      {"pickle: a tensor of four terabytes", pth_of(huge), "reaches outside"},
      {"pickle: sizes whose product overflows", pth_of(overflowing), "reaches outside"},
      {"pickle: a negative offset", pth_of(negative), "reaches outside"},
      {"pickle: a record outside the archive", pth_of(no_record), "not its record"},
      {"pickle: a storage of 2^63 elements", pth_of(other_size), "should hold"},
  };
}

std::vector<Hostile> legacies() {
  const std::string keys = list(text("0"));
  const std::string data = little(4, 8) + std::string(16, '\1');
  return {
      {"legacy: another magic number", start() + "\x8a\x0a" + "0123456789." + start() + "N.",
       "not one of torch.save"},
      {"legacy: another protocol",
       start() + "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19." + start() + "K\x01.",
       "not 1001"},
      {"legacy: cut off before the object", legacy(""), "cannot be read"},
      {"legacy: no list of storages", legacy_tensor("N", data), "list of storages"},
      {"legacy: an unknown storage", legacy_tensor(list(text("0") + text("7")), data + data),
       "no tensor refers"},
      {"legacy: a storage twice", legacy_tensor(list(text("0") + text("0")), data + data), "two"},
      {"legacy: a missing storage", legacy_tensor("]", ""), "not in the file"},
      {"legacy: cut off in the data", legacy_tensor(keys, little(4, 8) + "abc"), "more elements"},
      {"legacy: cut off in a length", legacy_tensor(keys, "abc"), "cut off"},
      {"legacy: 2^63 elements", legacy_tensor(keys, little(kHuge, 8)), "more elements"},
      {"legacy: elements whose bytes overflow", legacy_tensor(keys, little(kHuge / 2 + 1, 8)),
       "more elements"},
      {"legacy: another length than the tensor's",
       legacy_tensor(keys, little(2, 8) + std::string(8, '\1')), "should hold"},
      {"legacy: bytes behind the end", legacy_tensor(keys, data + "x"), "follow the last"},
      {"legacy: a command", legacy(start() + global("os", "system") + tuple(text("true")) + "R."),
       "'os.system'"},
  };
}

std::vector<Hostile> safetensors_files() {
  const std::string good = "\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]";
  const std::string two = "{\"t\":{" + good + "},\"u\":{\"dtype\":\"U8\",\"shape\":[4],";
  return {
      {"safetensors: a header of 2^63 bytes", little(kHuge, 8) + "{}", "not a file of LibTorch"},
      {"safetensors: a header longer than the file", little(100, 8) + "{}",
       "not a file of LibTorch"},
      {"safetensors: no JSON", safetensors("{nonsense}"), "not JSON"},
      {"safetensors: no UTF-8", safetensors("{\"\xff\":{" + good + "}}", "abcd"), "not JSON"},
      {"safetensors: a name twice",
       safetensors("{\"t\":{" + good + "},\"t\":{" + good + "}}", "abcd"), "comes twice"},
      {"safetensors: a field twice", safetensors(tensor_json(good + ",\"dtype\":\"U8\""), "abcd"),
       "twice"},
      {"safetensors: a missing field",
       safetensors(tensor_json("\"dtype\":\"U8\",\"shape\":[4]"), "abcd"), "lacks a field"},
      {"safetensors: an unknown field, nested a million deep",
       safetensors(tensor_json(good + ",\"x\":" + repeated("[", 1000000)), "abcd"),
       "nested too deep"},
      {"safetensors: an unknown field that is no JSON",
       safetensors(tensor_json(good + ",\"x\":nonsense"), "abcd"), "not JSON"},
      {"safetensors: an unknown field instead of a known one",
       safetensors(tensor_json("\"dtype\":\"U8\",\"x\":[4],\"data_offsets\":[0,4]"), "abcd"),
       "lacks a field"},
      {"safetensors: a byte-order mark", safetensors("\xEF\xBB\xBF{}"), "not a file of LibTorch"},
      {"safetensors: a byte-order mark behind blanks", safetensors(" \xEF\xBB\xBF{}"),
       "not a file of LibTorch"},
      {"safetensors: a NUL before the header", safetensors(std::string(1, '\0') + "{}"),
       "not a file of LibTorch"},
      {"safetensors: a NUL behind the header", safetensors("{}" + std::string(1, '\0')),
       "not JSON from byte 3 on"},
      {"safetensors: text hidden behind a NUL",
       safetensors("{}" + std::string(1, '\0') + "{\"t\":{" + good + "}}"),
       "not JSON from byte 3 on"},
      {"safetensors: text behind the header", safetensors("{}{}"), "not JSON from byte 3 on"},
      {"safetensors: a comment", safetensors("{/**/}"), "not JSON from byte 2 on"},
      {"safetensors: a header of nothing", safetensors("", "{}"), "not a file of LibTorch"},
      {"safetensors: a header of blanks, and a brace behind it", safetensors("  ", "{}"),
       "not a file of LibTorch"},
      {"safetensors: a long header of blanks", safetensors(repeated(" ", 1000000)),
       "not a JSON object"},
      {"safetensors: blanks before an array", safetensors(repeated(" ", 1000) + "[]"),
       "not a JSON object"},
      {"safetensors: an unknown dtype", safetensors(number_json("F7", "[4]", "[0,4]"), "abcd"),
       "unknown dtype"},
      {"safetensors: a dtype that LibTorch lacks",
       safetensors(number_json("F6_E2M3", "[4]", "[0,3]"), "abc"), "F6_E2M3"},
      {"safetensors: a negative size", safetensors(number_json("U8", "[-4]", "[0,4]"), "abcd"),
       "negative"},
      {"safetensors: half a size", safetensors(number_json("U8", "[4.5]", "[0,4]"), "abcd"),
       "not a 64-bit integer"},
      {"safetensors: a size of 2^63",
       safetensors(number_json("U8", "[9223372036854775808]", "[0,4]"), "abcd"), "impossible"},
      {"safetensors: a size of 2^64",
       safetensors(number_json("U8", "[18446744073709551616]", "[0,4]"), "abcd"),
       "not a 64-bit integer"},
      {"safetensors: sizes whose product overflows",
       safetensors(number_json("U8", "[4294967296,4294967296,4]", "[0,4]"), "abcd"), "impossible"},
      {"safetensors: bytes that overflow",
       safetensors(number_json("F64", "[2305843009213693952,2]", "[0,4]"), "abcd"), "impossible"},
      {"safetensors: more bytes than the shape has",
       safetensors(number_json("U8", "[3]", "[0,4]"), "abcd"), "another number of bytes"},
      {"safetensors: offsets beyond the end",
       safetensors(number_json("U8", "[5]", "[0,5]"), "abcd"), "beyond the end"},
      {"safetensors: offsets that run backwards",
       safetensors(number_json("U8", "[4]", "[4,0]"), "abcd"), "overlaps"},
      {"safetensors: three offsets", safetensors(number_json("U8", "[4]", "[0,4,8]"), "abcd"),
       "not two offsets"},
      {"safetensors: an array in an array",
       safetensors(number_json("U8", "[[4]]", "[0,4]"), "abcd"), "in an array"},
      {"safetensors: an object in a shape", safetensors(number_json("U8", "[{}]", "[0,4]"), "abcd"),
       "unexpected object"},
      {"safetensors: null for a tensor", safetensors("{\"t\":null}"), "unexpected null"},
      {"safetensors: an array for the header", safetensors("{\"t\":[]}"), "unexpected array"},
      {"safetensors: a gap", safetensors(number_json("U8", "[4]", "[1,5]"), "abcde"), "a gap"},
      {"safetensors: tensors that overlap", safetensors(two + "\"data_offsets\":[2,6]}}", "abcdef"),
       "overlaps"},
      {"safetensors: bytes behind the end",
       safetensors(number_json("U8", "[4]", "[0,4]"), "abcdefgh"), "follow the last"},
      {"safetensors: 65 dimensions",
       safetensors(number_json("U8", "[" + repeated("1,", 64) + "4]", "[0,4]"), "abcd"),
       "too many dimensions"},
      {"safetensors: metadata that is no text", safetensors("{\"__metadata__\":{\"a\":1}}"),
       "unexpected number"},
      {"safetensors: metadata twice", safetensors("{\"__metadata__\":{\"a\":\"\",\"a\":\"\"}}"),
       "twice"},
      {"safetensors: null in the metadata", safetensors("{\"__metadata__\":{\"a\":null}}"),
       "unexpected null"},
      {"safetensors: no metadata twice",
       safetensors("{\"__metadata__\":null,\"__metadata__\":null}"), "comes twice"},
      {"safetensors: a null for a shape", safetensors(number_json("U8", "null", "[0,4]"), "abcd"),
       "unexpected null"},
      {"safetensors: a million nested arrays", safetensors("{\"t\":" + repeated("[", 1000000)),
       "unexpected array"},
      {"tree: names a tensor that is not there", tree_json("{\"x\":{\"__tensor__\":\"no\"}}"),
       "does not hold"},
      {"tree: leaves a tensor out", tree_json("{}"), "does not name"},
      {"tree: no JSON", tree_json("{"), "not JSON"},
      {"tree: text hidden behind a NUL", tree_json("{}\\u0000{}"), "not JSON from byte 3 on"},
      {"tree: a byte-order mark", tree_json("\\ufeff{}"), "not JSON from byte 1 on"},
      {"tree: nested too deep", tree_json(repeated("[", 100000)), "nested too deep"},
      {"tree: an unknown kind", tree_json("{\"__code__\":\"x\"}"), "not a kind of value"},
      {"tree: an unknown dtype", tree_json("{\"__dtype__\":\"float7\"}"), "float7"},
      {"tree: an unknown device", tree_json("{\"__device__\":\"toaster\"}"), "toaster"},
      {"tree: bytes that are none", tree_json("{\"__bytes__\":\"xyz\"}"), "hexadecimal"},
      {"tree: a key twice", tree_json("{\"a\":1,\"a\":2}"), "comes twice"},
      {"tree: a key that is a list", tree_json("{\"__dict__\":[[[],1]]}"), "neither a string"},
      {"tree: half a pair", tree_json("{\"__dict__\":[[1]]}"), "not a pair"},
  };
}

// Exit status: 0 for what is expected. Anything else, a signal included, is the test's failure.
int read_with_limits(const std::string& path, const Hostile& file) {
  if (!test::kSanitized) {
    std::ifstream status("/proc/self/statm");
    rlim_t pages = 0;
    status >> pages;
    const rlim_t memory = pages * static_cast<rlim_t>(::getpagesize()) + (rlim_t{16} << 20) +
                          8 * static_cast<rlim_t>(file.bytes.size());
    const rlimit memory_limit{memory, memory};
    const rlimit time_limit{1, 1};
    if (::setrlimit(RLIMIT_AS, &memory_limit) != 0 || ::setrlimit(RLIMIT_CPU, &time_limit) != 0) {
      return 3;
    }
  }
  try {
    const std::string error = error_of([&] { load(path); });
    if (contains(error, file.error)) return 0;
    std::fprintf(stderr, "%s: %s\n", file.name.c_str(),
                 error.empty() ? "it was read" : error.c_str());
    return 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", file.name.c_str(), error.what());
    return 2;
  }
}

void check_all(const std::vector<Hostile>& files) {
  const test::TemporaryDirectory directory;
  for (const Hostile& file : files) {
    INFO(file.name);
    const std::string path = directory.path() + "/hostile";
    std::ofstream(path, std::ios::binary) << file.bytes;
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) ::_exit(read_with_limits(path, file));
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
  }
}

}  // namespace

TEST_CASE("hostile zip archives are refused", "[hostile]") { check_all(zips()); }
TEST_CASE("hostile pickles are refused", "[hostile]") { check_all(pickles()); }
TEST_CASE("hostile files of before 1.6 are refused", "[hostile]") { check_all(legacies()); }
TEST_CASE("hostile safetensors files are refused", "[hostile]") { check_all(safetensors_files()); }
