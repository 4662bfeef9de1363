// Directories of PyTorch's Distributed Checkpoint. Those in test/golden/dcp-2.14 were written by
// PyTorch 2.14.1 (one process, and two ranks of gloo), and described by test/python/dcp.py. The
// indexes in its folder `metadata` are that of two_ranks, as other versions of PyTorch and Python
// write it.

#include "format/dcp/directory.h"
#include "format/dcp/index.h"
#include "format/dcp/writer.h"
#include "python/describe.h"
#include "support/catch.h"
#include "support/error_of.h"
#include "support/faulty_file_system.h"
#include "support/handmade_index.h"
#include "support/temporary_directory.h"

#include <checkpoint/file.h>
#include <checkpoint/state_dict.h>

#include <torch/torch.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

using namespace checkpoint;
using namespace checkpoint::format;
using namespace checkpoint::format::handmade;
using test::TemporaryDirectory;

namespace {

constexpr char kDcpGolden[] = TORCH_CHECKPOINT_GOLDEN "/dcp-2.14/";

std::string golden(const std::string& name) { return kDcpGolden + name; }

std::string description_of(const std::string& name) {
  return test::read_file(golden(name) + ".txt");
}

// The bytes of a blob that holds a value.
std::string blob_of(const Value& value) {
  const TemporaryDirectory directory;
  save(value, directory / "blob.pth");
  return test::read_file(directory / "blob.pth");
}

const at::Tensor& four() {
  static const at::Tensor tensor = torch::arange(4, torch::kFloat);
  return tensor;
}

// A directory with one file of blobs, and its index.
void write_dcp(const TemporaryDirectory& directory, const HandmadeIndex& index,
               const std::string& blobs) {
  test::write_file(directory / "__0_0.distcp", blobs);
  test::write_file(directory / ".metadata", index.build(static_cast<int64_t>(blobs.size())));
}

std::string error_of_index(const HandmadeIndex& index, const std::string& blobs = blob_of(four())) {
  const TemporaryDirectory directory;
  write_dcp(directory, index, blobs);
  return error_of([&] { load(directory.path()); });
}

// Changes a good index.
std::string error_after(const std::function<void(HandmadeIndex&)>& change) {
  HandmadeIndex index;
  change(index);
  return error_of_index(index);
}

std::string getattr_of(const std::string& name) {
  return global("builtins", "getattr") + dcp_class("_MEM_FORMAT_ENCODING") + text(name) + "\x86R";
}

}  // namespace

TEST_CASE("DCP: what PyTorch 2.14 wrote is read", "[dcp]") {
  for (const char* name :
       {"single", "two_ranks", "files_per_item", "fqn_optimizer", "not_flattened"}) {
    INFO(name);
    for (const bool mmap : {false, true}) {
      const Value tree = load(golden(name), LoadOptions(torch::kCPU).mmap(mmap));
      CHECK(describe(tree) == description_of(name));
    }
  }
}

TEST_CASE("DCP: all dtypes that LibTorch has are read", "[dcp]") {
  const std::string wanted = description_of("dtypes");
  std::string unknown;
  for (const std::string name : {"uint16", "float8_e4m3fn", "float4_e2m1fn_x2"}) {
    if (!find_dtype(name) && unknown.empty()) unknown = name;
  }
  if (unknown.empty()) {
    CHECK(describe(load(golden("dtypes"))) == wanted);
  } else {
    const std::string error = error_of([&] { load(golden("dtypes")); });
    CHECK(contains(error, "unsupported: the tensor '"));
    CHECK(contains(error, "a dtype that this LibTorch does not have"));
  }
}

TEST_CASE("DCP: the index of every version is read", "[dcp]") {
  for (const char* version : {"1.13", "2.2", "2.6", "2.14"}) {
    for (const char* python : {"3.11.2", "3.11.7"}) {
      const TemporaryDirectory directory;
      for (const char* file : {"__0_0.distcp", "__1_0.distcp"}) {
        std::filesystem::copy_file(golden(std::string("two_ranks/") + file), directory / file);
      }
      const std::string name = std::string("torch-") + version + "-python-" + python;
      std::filesystem::copy_file(golden("metadata/" + name + ".metadata"), directory / ".metadata");
      INFO(name);
      // These list the tensors in another order.
      const Value tree = load(directory.path());
      const Value wanted = load(golden("two_ranks"));
      REQUIRE(tree.dict().size() == wanted.dict().size());
      for (const auto& [key, value] : wanted.dict()) {
        const Value* const found = tree.dict().find(key);
        REQUIRE(found != nullptr);
        if (!value.is_dict()) CHECK(describe(*found) == describe(value));
      }
      CHECK(torch::equal(tree["per_rank"]["rank1"].to_tensor(), torch::ones({2})));
    }
  }
}

TEST_CASE("DCP: a module takes its weights, straight into its memory", "[dcp]") {
  torch::nn::Sequential model(torch::nn::Linear(3, 4), torch::nn::Tanh(), torch::nn::Linear(4, 2),
                              torch::nn::BatchNorm1d(2));
  const Value wanted = load(golden("single"));
  load_state_dict(*model, golden("single"), RestoreOptions(), "model");
  for (const auto& entry : state_dict(*model)) {
    CHECK(torch::equal(entry.value(), wanted["model"][entry.key()].to_tensor()));
  }
  CHECK(load_weights(golden("single"), torch::kCPU, "model").contains("3.running_var"));

  torch::nn::Module parts;
  parts.register_buffer("even", torch::zeros({4, 3}));
  parts.register_buffer("cols", torch::zeros({3, 5}));
  parts.register_buffer("one_row", torch::zeros({1, 4}));
  load_state_dict(parts, golden("two_ranks"), RestoreOptions().strict(Strict::kNo));
  const Value whole = load(golden("two_ranks"));
  for (const auto& entry : state_dict(parts)) {
    CHECK(torch::equal(entry.value(), whole[entry.key()].to_tensor()));
  }
}

TEST_CASE("DCP: files that the index does not name are ignored", "[dcp]") {
  const TemporaryDirectory directory;
  write_dcp(directory, HandmadeIndex(), blob_of(four()) + "what an older save left");
  HandmadeIndex index;
  index.blobs[0].length = static_cast<int64_t>(blob_of(four()).size());
  test::write_file(directory / ".metadata", index.build(0));
  test::write_file(directory / "__7_0.distcp", "garbage");
  CHECK(torch::equal(load(directory.path())["w"].to_tensor(), four()));
}

TEST_CASE("DCP: blobs may lie in folders, and names of an enumeration may be called", "[dcp]") {
  const TemporaryDirectory directory;
  const std::string blob = blob_of(four());
  HandmadeIndex index;
  index.blobs[0].path = "folder/blobs";
  index.tensors[0].memory_format = getattr_of("TORCH_CHANNELS_LAST");
  index.more =
      text("version") + text("1.7.0") + text("mcore_data") + dict("") + text("storage_meta") +
      dcp_object("StorageMeta", text("checkpoint_id") + global("pathlib._local", "PosixPath") +
                                    tuple(text("/") + text("tmp")) + "R");
  std::filesystem::create_directory(directory / "folder");
  test::write_file(directory / "folder/blobs", blob);
  test::write_file(directory / ".metadata", index.build(static_cast<int64_t>(blob.size())));
  CHECK(torch::equal(load(directory.path())["w"].to_tensor(), four()));
}

TEST_CASE("DCP: chunks in three dimensions are put together", "[dcp]") {
  const at::Tensor whole = torch::arange(4 * 5 * 6, torch::kFloat).reshape({4, 5, 6});
  HandmadeIndex index;
  index.tensors[0].size = {4, 5, 6};
  index.tensors[0].chunks.clear();
  index.blobs.clear();
  std::string blobs;
  const auto add = [&](std::vector<int64_t> at, std::vector<int64_t> sizes, bool turned) {
    at::Tensor part = whole;
    for (size_t i = 0; i < 3; ++i) part = part.narrow(static_cast<int64_t>(i), at[i], sizes[i]);
    part = turned ? part.transpose(0, 2).contiguous().transpose(0, 2) : part.contiguous();
    const std::string blob = blob_of(part);
    IndexBlob place;
    place.at = at;
    place.offset = static_cast<int64_t>(blobs.size());
    place.length = static_cast<int64_t>(blob.size());
    index.tensors[0].chunks.push_back({std::move(at), std::move(sizes)});
    index.blobs.push_back(place);
    blobs += blob + "gap";
  };
  add({0, 0, 0}, {2, 5, 4}, false);
  add({2, 0, 0}, {2, 2, 4}, true);
  add({2, 2, 0}, {2, 3, 4}, false);
  add({0, 0, 4}, {4, 5, 2}, true);
  index.tensors[0].chunks.push_back({{4, 5, 6}, {0, 0, 0}});  // Without a blob.
  const TemporaryDirectory directory;
  write_dcp(directory, index, blobs);
  CHECK(torch::equal(load(directory.path())["w"].to_tensor(), whole));

  torch::nn::Module module;
  module.register_buffer("w", torch::zeros({4, 5, 6}));
  load_state_dict(module, directory.path());
  CHECK(torch::equal(module.buffers()[0], whole));
}

TEST_CASE("DCP: an index that contradicts itself is refused", "[dcp]") {
  struct Bad {
    const char* error;
    std::function<void(HandmadeIndex&)> change;
  };
  const auto blob_path = [](const std::string& path) {
    return [path](HandmadeIndex& index) { index.blobs[0].path = path; };
  };
  const std::vector<Bad> bad = {
      {"has another number of dimensions",
       [](auto& i) {
         i.tensors[0].chunks[0].at = {0, 0};
       }},
      {"has another number of dimensions",
       [](auto& i) {
         i.tensors[0].size = {4, 1};
       }},
      {"reaches outside of it", [](auto& i) { i.tensors[0].chunks[0].at = {1}; }},
      {"reaches outside of it", [](auto& i) { i.tensors[0].chunks[0].at = {INT64_MAX}; }},
      {"reaches outside of it", [](auto& i) { i.tensors[0].chunks[0].sizes = {INT64_MAX}; }},
      {"is negative", [](auto& i) { i.tensors[0].chunks[0].at = {-1}; }},
      {"is negative", [](auto& i) { i.tensors[0].size = {-4}; }},
      {"the size of 'w' is too large",
       [](auto& i) {
         i.tensors[0].size = {1 << 30, 1 << 30, 9};
       }},
      {"the size of 'w' is too large",
       [](auto& i) {
         i.tensors[0].size = {0, 1L << 40, 1L << 40};
       }},
      {"do not cover it: none has the element [4]", [](auto& i) { i.tensors[0].size = {5}; }},
      {"do not cover it", [](auto& i) { i.tensors[0].chunks.clear(); }},
      {"two chunks of 'w' overlap, at [0] and [3]",
       [](auto& i) {
         i.tensors[0].size = {5};
         i.tensors[0].chunks.push_back({{3}, {2}});
       }},
      {"two chunks of 'w' overlap", [](auto& i) { i.tensors[0].chunks.push_back({}); }},
      {"storage_data lacks the chunk of 'w' at [0]", [](auto& i) { i.blobs.clear(); }},
      {"storage_data has the chunk of 'w' at [0] twice", [](auto& i) { i.blobs.push_back({}); }},
      {", which state_dict_metadata lacks", [](auto& i) { i.blobs[0].at = {{2}}; }},
      {", which state_dict_metadata lacks",
       [](auto& i) {
         i.blobs[0].at = {{0, 0}};
       }},
      {"without the chunk's place", [](auto& i) { i.blobs[0].at.reset(); }},
      {"storage_data has the key 'x', which", [](auto& i) { i.blobs[0].key = "x"; }},
      {"storage_data lacks 'v'", [](auto& i) { i.values = {"v"}; }},
      {"a chunk of 'v', which is not a tensor",
       [](auto& i) {
         i.values = {"v"};
         i.blobs.push_back({"v"});
       }},
      {"the index has the key 'w' twice", [](auto& i) { i.values = {"w"}; }},
      {"is too small for its chunk", [](auto& i) { i.blobs[0].length = 15; }},
      {"has an impossible place", [](auto& i) { i.blobs[0].offset = -1; }},
      {"has an impossible place", [](auto& i) { i.blobs[0].length = -1; }},
      {"has an impossible place", [](auto& i) { i.blobs[0].offset = INT64_MAX; }},
      {"the file is truncated", [](auto& i) { i.blobs[0].offset = 1; }},
      {"the file is truncated", [](auto& i) { i.blobs[0].length = 1 << 20; }},
      {"two blobs overlap in '__0_0.distcp' at byte 100",
       [](auto& i) {
         i.values = {"v"};
         i.blobs.push_back({"v", {}, "__0_0.distcp", 100, 10});
       }},
      {"not a path inside of the directory", blob_path("")},
      {"not a path inside of the directory", blob_path("/etc/passwd")},
      {"not a path inside of the directory", blob_path("../__0_0.distcp")},
      {"not a path inside of the directory", blob_path("a/./b")},
      {"not a path inside of the directory", blob_path("a//b")},
      {"not a path inside of the directory", blob_path("a/..")},
      {"not a path inside of the directory", blob_path("a\\b")},
      {"not a path inside of the directory", blob_path(std::string("a\0b", 3))},
      {"this file of the checkpoint is missing", blob_path("__1_0.distcp")},
      {"this file of the checkpoint is missing", blob_path("a/b")},
      {"planner_data has the key 'x', which",
       [](auto& i) { i.paths = dict(text("x") + tuple(text("x"))); }},
      {"the path of 'w' is empty", [](auto& i) { i.paths = dict(text("w") + ")"); }},
      {"the path of 'w' begins in a list",
       [](auto& i) { i.paths = dict(text("w") + tuple(integer(0))); }},
      {"the path of 'w' has a negative index",
       [](auto& i) { i.paths = dict(text("w") + tuple(text("a") + integer(-1))); }},
      {"lacks an element before its element 1",
       [](auto& i) { i.paths = dict(text("w") + tuple(text("a") + integer(1))); }},
      {"bytes follow the end", [](auto& i) { i.behind = ".x"; }},
      {"its end leaves not one value", [](auto& i) { i.behind = "N."; }},
      {"cut off", [](auto& i) { i.behind = ""; }},
  };
  for (const Bad& one : bad) {
    INFO(one.error);
    const std::string error = error_after(one.change);
    INFO(error);
    CHECK(contains(error, "corrupt: "));
    CHECK(contains(error, one.error));
  }
}

TEST_CASE("DCP: what an index does not need is refused by name", "[dcp]") {
  struct Bad {
    const char* error;
    std::function<void(HandmadeIndex&)> change;
  };
  const auto with_more = [](const std::string& more) {
    return [more](HandmadeIndex& index) { index.more = more; };
  };
  const std::vector<Bad> bad = {
      {"'os.system'", with_more(text("x") + global("os", "system") + tuple(text("true")) + "R")},
      {"'torch.nn.modules.linear.Linear'",
       with_more(text("mcore_data") + global("torch.nn.modules.linear", "Linear"))},
      {"'collections.OrderedDict'", with_more(text("mcore_data") + ordered_dict())},
      {"'torch.FloatStorage'", with_more(text("x") + storage("FloatStorage", "0", "cpu", 4))},
      {"something outside of it", with_more(text("x") + text("y") + "Q")},
      {"getattr for something else", with_more(text("mcore_data") + global("builtins", "getattr") +
                                               dcp_class("Metadata") + text("__init__") + "\x86R")},
      {"getattr for something else",
       [](auto& i) { i.tensors[0].memory_format = getattr_of("__class__"); }},
      {"has the field 'more', which", with_more(text("more") + integer(1))},
      {"has the field 'more', which", [](auto& i) { i.tensors[0].more = text("more") + "K\x01"; }},
      {"has the field 'more', which", [](auto& i) { i.blobs[0].more = text("more") + "K\x01"; }},
      {"is packed by 'stream.zstd/1'",
       [](auto& i) {
         i.blobs[0].more = text("transform_descriptors") + list(text("stream.zstd/1"));
       }},
      {"the index is of version '2.0.0'", with_more(text("version") + text("2.0.0"))},
      {"has the layout 'torch.sparse_coo'",
       [](auto& i) { i.tensors[0].layout = layout("torch.sparse_coo"); }},
      {"'torch.float7', a dtype that this LibTorch does not have",
       [](auto& i) { i.tensors[0].dtype = global("torch", "float7"); }},
      {"has 65 dimensions", [](auto& i) { i.tensors[0].size = std::vector<int64_t>(65, 1); }},
      {"the opcode", [](auto& i) { i.behind = "\x82\x01."; }},
  };
  for (const Bad& one : bad) {
    INFO(one.error);
    const std::string error = error_after(one.change);
    INFO(error);
    CHECK(contains(error, "unsupported: "));
    CHECK(contains(error, one.error));
  }
}

TEST_CASE("DCP: a blob that does not hold what the index says is refused", "[dcp]") {
  const auto error_with = [](const std::string& blobs) {
    const std::string error = error_of_index(HandmadeIndex(), blobs);
    CHECK(contains(error, "the blob of 'w': "));
    return error;
  };
  CHECK(contains(error_with(blob_of(four().to(torch::kInt))), "int32, and the index says float32"));
  CHECK(contains(error_with(blob_of(torch::zeros({2, 2}))), "the shape [2, 2], and the index"));
  CHECK(contains(error_with(blob_of(Value(7))), "holds a int instead of a tensor"));
  CHECK(contains(error_with(blob_of(Value::List{four()})), "holds a list instead of a tensor"));
  CHECK(contains(error_with(std::string(100, 'x')), "not a zip archive"));
  CHECK(contains(error_with(blob_of(four()) + "x"), "not a zip archive"));
  std::string other_record = blob_of(four());
  other_record.replace(other_record.find("data/0"), 6, "data/9");
  CHECK(contains(error_with(other_record), "another name"));
}

TEST_CASE("DCP: an object of an unknown class does not make the weights unreadable", "[dcp]") {
  HandmadeZip zip;
  zip.records = {{"archive/data.pkl", start() + global("my.schedulers", "Warmup") + ")\x81}b."}};
  const std::string tensor = blob_of(four());
  const std::string object = zip.build();
  HandmadeIndex index;
  index.values = {"scheduler"};
  index.blobs[0].length = static_cast<int64_t>(tensor.size());
  index.blobs.push_back({"scheduler",
                         {},
                         "__0_0.distcp",
                         static_cast<int64_t>(tensor.size()),
                         static_cast<int64_t>(object.size())});
  const TemporaryDirectory directory;
  write_dcp(directory, index, tensor + object);
  const Value tree = load(directory.path());
  CHECK(tree["scheduler"].opaque().class_name == "my.schedulers.Warmup");
  CHECK(load_weights(directory.path()).keys() == std::vector<std::string>{"w"});

  zip.records[0].bytes = start() + global("os", "system") + tuple(text("true")) + "R.";
  const std::string harm = zip.build();
  index.blobs[1].length = static_cast<int64_t>(harm.size());
  const std::string error = error_of_index(index, tensor + harm);
  CHECK(contains(error, "the blob of 'scheduler': "));
  CHECK(contains(error, "'os.system'"));
}

TEST_CASE("DCP: links are not followed", "[dcp]") {
  const TemporaryDirectory directory, other;
  const std::string blob = blob_of(four());
  test::write_file(other / "secret", blob);
  test::write_file(directory / ".metadata",
                   HandmadeIndex().build(static_cast<int64_t>(blob.size())));
  std::filesystem::create_symlink(other / "secret", directory / "__0_0.distcp");
  CHECK(contains(error_of([&] { load(directory.path()); }), "a link or something else"));
}

TEST_CASE("DCP: a save that did not end is named", "[dcp]") {
  const auto error_with = [](const char* file) {
    const TemporaryDirectory directory;
    test::write_file(directory / file, "x");
    return error_of([&] { load(directory.path()); });
  };
  CHECK(contains(error_with(".metadata.tmp"), "was not saved to its end"));
  CHECK(contains(error_with("__0_0.distcp"), "was not saved to its end"));
  CHECK(contains(error_with("__0.metadata"), "without a global plan"));
  CHECK(contains(error_with("metadata.pkl"), "torch_checkpointing"));
  CHECK(contains(error_with(".metadata"), "cannot be read"));
}

TEST_CASE("DCP: many chunks are checked in time", "[dcp]") {
  const auto seconds = [](const HandmadeIndex& index, bool is_good) {
    const std::string pickle = index.build(1000);
    const auto begin = std::chrono::steady_clock::now();
    const std::string error = error_of([&] { dcp::read_index(pickle, "index"); });
    CHECK(error.empty() == is_good);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  // A square of 100 x 100, and a stair of which all parts reach to the end.
  HandmadeIndex square, stair;
  square.tensors[0].size = {100, 100};
  square.tensors[0].chunks.clear();
  square.blobs.clear();
  constexpr int64_t kSteps = 10000;
  stair.tensors[0].size = {kSteps, kSteps};
  stair.tensors[0].chunks.clear();
  for (int64_t i = 0; i < kSteps; ++i) {
    square.tensors[0].chunks.push_back({{i / 100, i % 100}, {1, 1}});
    IndexBlob blob;
    blob.at = {{i / 100, i % 100}};
    blob.offset = 10 * i;
    blob.length = 10;
    square.blobs.push_back(blob);
    stair.tensors[0].chunks.push_back({{i, i}, {kSteps - i, 1}});
  }
  CHECK(seconds(square, true) < 20);
  CHECK(seconds(stair, false) < 20);
}

TEST_CASE("DCP: an index cannot ask for more memory than its size explains", "[dcp]") {
  // One list of chunks, recalled by each tensor.
  std::string chunks = IndexChunk().build();
  for (int i = 0; i < 2000; ++i) chunks += IndexChunk{{4}, {0}}.build();
  HandmadeIndex index;
  index.tensors[0].chunk_list = list(chunks) + "q\1";
  for (int i = 0; i < 5000; ++i) {
    index.tensors.emplace_back();
    index.tensors.back().key = "w" + std::to_string(i);
    index.tensors.back().chunk_list = "h\1";
  }
  const std::string pickle = index.build(1000);
  CHECK(contains(error_of([&] { dcp::read_index(pickle, "index"); }), "far more memory"));
}

TEST_CASE("DCP: what this library wrote comes back", "[dcp]") {
  const TemporaryDirectory directory;
  const std::string path = directory / "new/checkpoint";
  Dict first, second;
  first.insert("step", torch::tensor(3.0F));
  first.insert("exp_avg", torch::arange(6, torch::kFloat).reshape({2, 3}));
  Dict state, optimizer, tree;
  state.insert(int64_t{0}, first);
  state.insert(int64_t{10}, Dict{{"step", torch::tensor(4.0F)}});
  second.insert("lr", 0.1);
  second.insert("betas", Tuple{{0.9, 0.999}});
  second.insert("params", Value::List{0, 10});
  optimizer.insert("state", state);
  optimizer.insert("param_groups", Value::List{second});
  tree.insert("model", Dict{{"0.weight", torch::rand({3, 2})}, {"0.bias", torch::ones({2})}});
  tree.insert("optimizer", optimizer);
  tree.insert("epoch", 7);
  tree.insert("nothing", Value());
  tree.insert("text", "\u00e9");
  tree.insert("list", Value::List{1, Value::List{2, torch::ones({2})}, Dict()});
  tree.insert("numbers", Value::List{1, 2.5, Value::List{3}});
  tree.insert("empty", Value::List{});
  tree.insert("no keys", Dict());
  tree.insert("turned", torch::arange(6).reshape({2, 3}).t());
  tree.insert("zero", torch::zeros({0, 3}));
  tree.insert("scalar", torch::tensor(2.5, torch::kDouble));
  save(tree, path, SaveOptions().format(Format::kDcp));
  CHECK(describe(load(path)) == describe(tree));
  CHECK(describe(load(path, LoadOptions().mmap(true))) == describe(tree));
  CHECK(test::names_in(path) == std::vector<std::string>{".metadata", "__0_0.distcp"});
  CHECK_FALSE(contains(test::read_file(path + "/.metadata"), directory.path()));

  // Each blob, and each tensor in it, can be mapped.
  const std::string pickle = test::read_file(path + "/.metadata");
  for (const dcp::Blob& blob : dcp::read_index(pickle, "index").blobs) {
    CHECK(blob.offset % 64 == 0);
  }
}

TEST_CASE("DCP: tensors are written detached and dense", "[dcp]") {
  const TemporaryDirectory directory;
  const at::Tensor weight = torch::ones({2, 3}, torch::requires_grad());
  Dict tree;
  tree.insert("weight", weight);
  tree.insert("tied", weight);
  tree.insert("expanded", torch::tensor({1.0, 2.0}).unsqueeze(1).expand({2, 5}));
  tree.insert("view", torch::arange(1000)[500]);
  tree.insert("strided", torch::arange(10).slice(0, 0, 10, 3));
  save(tree, directory / "d", SaveOptions().format(Format::kDcp));
  const Value read = load(directory / "d");
  for (const auto& [key, value] : tree) {
    CHECK(torch::equal(read.dict().at(key).to_tensor(), value.to_tensor()));
    CHECK_FALSE(read.dict().at(key).to_tensor().requires_grad());
  }
}

TEST_CASE("DCP: an optimizer without state gets its empty state back", "[dcp]") {
  const TemporaryDirectory directory;
  Dict group;
  group.insert("lr", 0.1);
  group.insert("params", Value::List{0});
  HandmadeIndex index;  // As Python writes it: without a trace of the empty dict.
  index.tensors.clear();
  index.values = {"o.param_groups.0.params"};
  index.blobs = {{"o.param_groups.0.params", {}}};
  index.paths = dict(text("o.param_groups.0.params") +
                     tuple(text("o") + text("param_groups") + integer(0) + text("params")));
  write_dcp(directory, index, blob_of(Value::List{0}));
  const Value tree = load(directory.path());
  CHECK(tree["o"]["state"].dict().empty());
  CHECK(tree["o"]["param_groups"][0]["params"][0].to_int() == 0);
}

TEST_CASE("DCP: what cannot be written is refused, and nothing is left", "[dcp]") {
  const TemporaryDirectory directory;
  const SaveOptions options = SaveOptions().format(Format::kDcp);
  const auto error_with = [&](const Value& tree) {
    const std::string error = error_of([&] { save(tree, directory / "d", options); });
    CHECK_FALSE(std::filesystem::exists(directory / "d"));
    return error;
  };
  CHECK(contains(error_with(Value::List{1}), "a distributed checkpoint holds a dict"));
  CHECK(contains(error_with(Dict{{"a.b", 1}, {"a", Dict{{"b", 2}}}}), "'a.b' is the name of two"));
  CHECK(contains(error_with(Dict{{"1", 1}, {int64_t{1}, 2}}), "'1' is the name of two"));
  CHECK(contains(error_with(Dict{{"a", 1}, {"x", Opaque{"my.Class", {}}}}), "'x'"));
  CHECK(contains(error_with(Dict{{"a", 1}, {"x", torch::ones({2}).to_sparse()}}), "'x'"));
  CHECK(contains(error_with(Dict{{"a", 1}, {"x", "\xff"}}), "cannot save 'x'"));
  CHECK(contains(error_with(Dict{{"\xff", 1}}), "not valid UTF-8"));

  std::filesystem::create_directory(directory / "d");
  save(Dict{{"a", 1}}, directory / "d", options);
  const std::string error = error_of([&] { save(Dict{{"a", 2}}, directory / "d", options); });
  CHECK(contains(error, "invalid_argument: not written: this directory is not empty"));
  CHECK(load(directory / "d")["a"].to_int() == 1);
  test::write_file(directory / "file", "x");
  CHECK(contains(error_of([&] {
                   save(Dict{{"a", 2}}, directory / "file", options);
                 }),
                 "not a directory"));
}

namespace {

const Dict& small_tree() {
  static const Dict tree{{"epoch", 7}, {"model", Dict{{"w", torch::arange(5)}}}};
  return tree;
}

// Whether a directory holds the small tree. It may hold no checkpoint, but never another one.
bool holds_small_tree(store::FileSystem& fs) {
  if (!dcp::is_checkpoint(fs, "/d")) return false;
  const dcp::Directory directory(fs, "/d");
  directory.verify();
  const DecodedArchive archive = directory.decode();
  const auto file = [&](size_t i) -> const store::ByteSource& { return directory.file(i); };
  const at::Tensor w = load_tensor(file, archive, archive.tree()["model"]["w"].to_tensor());
  CHECK(torch::equal(w, torch::arange(5)));
  CHECK(archive.tree()["epoch"].to_int() == 7);
  return true;
}

}  // namespace

TEST_CASE("DCP: a call that fails leaves a whole checkpoint or nothing", "[dcp]") {
  size_t calls = 0;
  int whole = 0;
  for (int call = 0; call == 0 || call < static_cast<int>(calls); ++call) {
    test::MemoryFileSystem memory;
    test::FaultyFileSystem faulty(memory);
    if (call == 0) {
      faulty.arm(-1, {test::Fault::Kind::kError});
      dcp::write_directory(faulty, small_tree(), "/d");
      calls = faulty.calls().size();
      REQUIRE(holds_small_tree(memory));
      memory = test::MemoryFileSystem();
    }
    faulty.fail(call, EIO);
    const std::string error = error_of([&] { dcp::write_directory(faulty, small_tree(), "/d"); });
    INFO(call << " of " << calls << ": " << error);
    const bool is_there = holds_small_tree(memory);
    whole += is_there ? 1 : 0;
    if (!is_there) CHECK(memory.names("/d").empty());
    if (error.empty()) CHECK(is_there);
  }
  CHECK(calls > 10);
  CHECK(whole > 0);
}

TEST_CASE("DCP: a crash leaves a whole checkpoint or none", "[dcp]") {
  using test::DataFate;
  using test::EntryFate;
  for (const DataFate data : {DataFate::kLost, DataFate::kKept, DataFate::kGarbage}) {
    for (const EntryFate entries : {EntryFate::kLost, EntryFate::kKept, EntryFate::kSome}) {
      int whole = 0;
      bool is_done = false;
      for (int call = 0; !is_done; ++call) {
        test::MemoryFileSystem memory;
        memory.put("/d/x", "");
        memory.unlink("/d/x");
        test::FaultyFileSystem faulty(memory);
        faulty.arm(call, {test::Fault::Kind::kStop});
        is_done = error_of([&] { dcp::write_directory(faulty, small_tree(), "/d"); }).empty();
        memory.crash(data, entries, static_cast<uint32_t>(call));
        INFO("stopped at call " << call);
        const bool is_there = holds_small_tree(memory);
        whole += is_there ? 1 : 0;
        if (is_done) CHECK(is_there);
      }
      CHECK(whole > 0);
    }
  }
}
