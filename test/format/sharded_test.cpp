// Models in several files: what is read, each reason to refuse, and what is written. The files in
// golden/hugging-face were made by transformers' and PyTorch 2.14's own writers, except hand_*:
// those were made by hand and tried with safetensors 0.8.0.

#include "support/catch.h"
#include "support/error_of.h"
#include "support/models.h"
#include "support/temporary_directory.h"

#include "format/sharded/find_shards.h"
#include "format/sharded/shard_index.h"
#include "format/sharded/shard_plan.h"
#include "format/tree/dtype.h"

#include <checkpoint/checkpoint.h>

#include <torch/torch.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>
#include <string>

using namespace checkpoint;
using test::TemporaryDirectory;
namespace fs = std::filesystem;

namespace {

std::string hugging_face(const std::string& name) {
  return std::string(TORCH_CHECKPOINT_GOLDEN) + "/hugging-face/" + name;
}

std::string text_of_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void put(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::set<std::string> names_in(const std::string& directory) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) names.insert(entry.path().filename());
  return names;
}

void check_same(const StateDict& left, const StateDict& right) {
  REQUIRE(left.size() == right.size());
  for (const auto& entry : left) {
    INFO(entry.key());
    const at::Tensor* const other = right.find(entry.key());
    REQUIRE(other != nullptr);
    CHECK(test::same_bits(entry.value(), *other));
  }
}

// A safetensors file by hand: its header, and a number of bytes that count up.
std::string safetensors_of(const std::string& header, size_t bytes) {
  std::string text;
  for (int i = 0; i < 8; ++i) text += static_cast<char>(uint64_t{header.size()} >> (8 * i));
  text += header;
  for (size_t i = 0; i < bytes; ++i) text += static_cast<char>(i);
  return text;
}

std::string one_tensor(const std::string& name) {
  return safetensors_of("{\"" + name + R"(":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", 2);
}

// A directory with two shards, "a" in the first and "b" in the second.
class TwoShards {
 public:
  TwoShards() {
    put(at(kFirst), one_tensor("a"));
    put(at(kSecond), one_tensor("b"));
    put_index(std::string(R"({"metadata":{},"weight_map":{"a":")") + kFirst + R"(","b":")" +
              kSecond + R"("}})");
  }

  static constexpr char kFirst[] = "model-00001-of-00002.safetensors";
  static constexpr char kSecond[] = "model-00002-of-00002.safetensors";

  std::string at(const std::string& name) const { return directory_ / name; }
  std::string index() const { return at("model.safetensors.index.json"); }
  const std::string& path() const { return directory_.path(); }
  void put_index(const std::string& text) const { put(index(), text); }
  std::string error() const {
    return error_of([&] { load(path()); });
  }

 private:
  TemporaryDirectory directory_;
};

// A rank's file with one part of the tensor "t", whose parts are rows of two bytes.
std::string rank_file(int rows, const std::string& info) {
  std::string quoted;
  for (const char c : info) quoted += c == '"' ? std::string("\\\"") : std::string(1, c);
  const std::string count = std::to_string(rows);
  return safetensors_of(R"({"__metadata__":{"format":"pt","DCP_SHARDING_INFO":")" + quoted +
                            R"("},"t":{"dtype":"U8","shape":[)" + count +
                            R"(,2],"data_offsets":[0,)" + std::to_string(2 * rows) + "]}}",
                        static_cast<size_t>(2 * rows));
}

std::string at_row(int row) {
  return R"({"t": {"saved_offsets": [)" + std::to_string(row) + ", 0]}}";
}

constexpr char kRank0[] = "shard-00001-model-00001-of-00001.safetensors";
constexpr char kRank1[] = "shard-00002-model-00001-of-00001.safetensors";

StateDict four_tensors() {
  StateDict dict;
  dict.insert("small.1", torch::full({2}, 1.0));  // 8 bytes each
  dict.insert("large", torch::arange(10.0));      // 40
  dict.insert("small.2", torch::full({2}, 2.0));
  dict.insert("small.3", torch::full({2}, 3.0));
  return dict;
}

struct TiedImpl : torch::nn::Module {
  TiedImpl() {
    head = register_parameter("head", torch::zeros({3, 2}));
    embedding = register_parameter("embedding", head);
    bias = register_parameter("bias", torch::zeros({3}));
  }
  torch::Tensor head, embedding, bias;
};
TORCH_MODULE(Tied);

}  // namespace

TEST_CASE("a sharded model is read by its index, its directory, and lazily", "[sharded]") {
  const StateDict weights = load_weights(hugging_face("hf_sharded"));
  REQUIRE(weights.size() == 9);
  CHECK(weights["0.bias"].allclose(torch::tensor(
      {-0.24589870870113373, -0.3594399690628052, -0.03922843560576439, -0.1619688868522644},
      torch::kFloat)));
  CHECK(weights["3.num_batches_tracked"].equal(torch::tensor(3)));
  check_same(weights, load_weights(hugging_face("hf_sharded/model.safetensors.index.json")));
  check_same(weights, load_weights(hugging_face("bin_sharded")));
  check_same(weights, load_weights(hugging_face("bin_sharded/pytorch_model.bin.index.json")));
  check_same(weights, load_weights(hugging_face("hf_writer_rank0")));
  check_same(weights, load_weights(hugging_face("hf_sharded"), LoadOptions().mmap(true)));
  check_same(weights, load_weights(hugging_face("bin_sharded"), LoadOptions().mmap(true)));
  CHECK(load_metadata(hugging_face("hf_sharded")).at("total_size") == "144");
  CHECK(load_metadata(hugging_face("hf_sharded")).at("total_parameters") == "35");

  torch::nn::Sequential module(torch::nn::Linear(3, 4), torch::nn::ReLU(), torch::nn::Linear(4, 2),
                               torch::nn::BatchNorm1d(2));
  CHECK(load_state_dict(*module, hugging_face("hf_sharded")).fits());
  check_same(state_dict(*module), weights);
}

TEST_CASE("the order of the tensors is the index's", "[sharded]") {
  const StateDict weights = load_weights(hugging_face("hf_writer_rank0"));
  CHECK(weights.keys() == std::vector<std::string>{"0.weight", "0.bias", "2.weight", "2.bias",
                                                   "3.weight", "3.bias", "3.running_mean",
                                                   "3.running_var", "3.num_batches_tracked"});
}

TEST_CASE("files of HuggingFaceStorageWriter are read, also those of each rank", "[sharded]") {
  const StateDict whole = load_weights(hugging_face("hf_consolidated"));
  REQUIRE(whole.size() == 4);
  CHECK(whole["rep"].allclose(torch::tensor(
      {{0.5412582755088806, 0.5557191371917725}, {-0.32715174555778503, 1.3225858211517334}},
      torch::kFloat)));
  CHECK(whole["uneven"].sizes() == at::IntArrayRef({5, 3}));
  check_same(load_weights(hugging_face("hf_consolidated/sharded")), whole);
  check_same(load_weights(hugging_face("hf_distributed")).size() == 4
                 ? load_weights(hugging_face("hf_distributed"), LoadOptions().mmap(true))
                 : StateDict(),
             load_weights(hugging_face("hf_distributed")));

  torch::nn::Module module;
  for (const auto& entry : whole) {
    module.register_buffer(entry.key(), torch::zeros(entry.value().sizes()));
  }
  load_state_dict(module, hugging_face("hf_consolidated/sharded"));
  check_same(state_dict(module), whole);
}

TEST_CASE("each fault of an index is refused by name", "[sharded]") {
  const TwoShards model;
  CHECK(load_weights(model.path()).size() == 2);
  const auto refuse = [&](const std::string& index, const std::string& what) {
    INFO(index);
    model.put_index(index);
    const std::string error = model.error();
    INFO(error);
    CHECK(contains(error, what));
    CHECK(contains(error, "model.safetensors.index.json"));
  };
  const auto map = [](const std::string& shard) {
    return R"({"weight_map":{"a":")" + shard + R"("}})";
  };
  const std::string first = TwoShards::kFirst;
  refuse("", "corrupt: ");
  refuse("[]", "not a JSON object");
  refuse("3", "not a JSON object");
  refuse("{}", "no 'weight_map'");
  refuse(R"({"weight_map":[]})", "'weight_map' is an array");
  refuse(R"({"weight_map":null})", "'weight_map' is a bare value");
  refuse(R"({"weight_map":{"a":1}})", "the tensor 'a' has a value that is not a shard's name");
  refuse(R"({"weight_map":{"a":{}}})", "the tensor 'a' has a value that is not a shard's name");
  refuse(R"({"weight_map":{"a":[]}})", "the tensor 'a' has a value that is not a shard's name");
  refuse(R"({"weight_map":{"a":")" + first + R"(","a":")" + first + R"("}})",
         "names the tensor 'a' twice");
  refuse(R"({"weight_map":{},"weight_map":{}})", "field 'weight_map' twice");
  refuse(R"({"metadata":{"x":"1","x":"2"},"weight_map":{}})",
         "its metadata has the field 'x' twice");
  refuse(R"({"metadata":{"x":{"y":[]}},"weight_map":{}})", "nested deeper than 3");
  refuse(map("") + " x", "corrupt: ");
  refuse(map(""), "is empty");
  refuse(map("/etc/model.safetensors"), "is not relative");
  refuse(map("../model.safetensors"), "leads out of the index's directory");
  refuse(map("a/../../model.safetensors"), "leads out of the index's directory");
  refuse(map("a//model.safetensors"), "an empty part");
  refuse(map("./model.safetensors"), "an empty part");
  refuse(map("C:model.safetensors"), "names a drive");
  refuse(map(R"(a\\model.safetensors)"), "a backslash");
  refuse(map(R"(a\u0000.safetensors)"), "a NUL byte");
  refuse(map("model.bin"), "does not end with '.safetensors'");
  refuse(map("model-00003-of-00002.safetensors"),
         "not_found: the shard 'model-00003-of-00002.safetensors' is missing; of 1 shards, 0 are");
}

TEST_CASE("an index may have what old scripts wrote", "[sharded]") {
  const TwoShards model;
  const std::string map = std::string(R"("weight_map":{"a":")") + TwoShards::kFirst + R"(","b":")" +
                          TwoShards::kSecond + "\"}";
  for (const std::string metadata :
       {R"("metadata":{"total_size":4.0},)", R"("metadata":{"total_size":"4"},)",
        R"("metadata":{"total_size":5},)", R"("metadata":{"total_size":-1,"x":null,"y":[1]},)",
        R"("metadata":null,)", R"("other":[[1]],"more":{"a":"b"},"some":1.5,)", ""}) {
    INFO(metadata);
    model.put_index("{" + metadata + map + "}");
    CHECK(load_weights(model.path()).size() == 2);
  }
}

TEST_CASE("each disagreement of an index and its shards is refused by name", "[sharded]") {
  const TwoShards model;
  SECTION("a shard is missing") {
    fs::remove(model.at(TwoShards::kSecond));
    CHECK(
        contains(model.error(),
                 "not_found: the shard 'model-00002-of-00002.safetensors' is missing; of 2 shards, "
                 "1 is there"));
  }
  SECTION("a shard is a directory") {
    fs::remove(model.at(TwoShards::kSecond));
    fs::create_directory(model.at(TwoShards::kSecond));
    CHECK(contains(model.error(), "not a regular file"));
  }
  SECTION("a tensor is not in its shard") {
    put(model.at(TwoShards::kSecond), safetensors_of("{}", 0));
    CHECK(
        contains(model.error(),
                 "corrupt: the tensor 'b' is not in the shard 'model-00002-of-00002.safetensors'"));
  }
  SECTION("a shard has a tensor more") {
    put(model.at(TwoShards::kSecond),
        safetensors_of(R"({"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                       R"("c":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
                       3));
    CHECK(contains(model.error(), "holds the tensor 'c', which the index does not name"));
  }
  SECTION("a tensor is in two shards") {
    put(model.at(TwoShards::kSecond),
        safetensors_of(R"({"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                       R"("a":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
                       3));
    CHECK(contains(model.error(),
                   "holds the tensor 'a', which the index places in "
                   "'model-00001-of-00002.safetensors'"));
  }
  SECTION("a shard is of another kind") {
    checkpoint::save(Value(Dict()), model.at("x.pth"));
    fs::rename(model.at("x.pth"), model.at(TwoShards::kSecond));
    CHECK(contains(model.error(), "not a safetensors file, as its name says"));
  }
  SECTION("a shard was not downloaded") {
    put(model.at(TwoShards::kSecond), "version https://git-lfs.github.com/spec/v1\noid sha256:0\n");
    CHECK(contains(model.error(), "git lfs pull"));
  }
  SECTION("a shard holds more than tensors") {
    Dict tree;
    tree.insert("b", torch::ones({2}));
    tree.insert("epoch", 3);
    checkpoint::save(tree, model.at(TwoShards::kSecond));
    CHECK(contains(model.error(), "more than tensors by name"));
  }
  SECTION("a shard is cut off") {
    put(model.at(TwoShards::kSecond), one_tensor("b").substr(0, one_tensor("b").size() - 1));
    CHECK(contains(model.error(), "corrupt: "));
    CHECK(contains(model.error(), TwoShards::kSecond));
  }
  SECTION("a file that the index does not name is ignored") {
    put(model.at("other.safetensors"), "no such file");
    CHECK(load_weights(model.path()).size() == 2);
  }
  SECTION("a shard in a folder, and one behind a link, as in the hub's cache") {
    fs::create_directory(model.at("blobs"));
    fs::rename(model.at(TwoShards::kFirst), model.at("blobs/1"));
    fs::rename(model.at(TwoShards::kSecond), model.at("blobs/2.safetensors"));
    fs::create_symlink("blobs/1", model.at(TwoShards::kFirst));
    model.put_index(std::string(R"({"weight_map":{"a":")") + TwoShards::kFirst +
                    R"(","b":"blobs/2.safetensors"}})");
    CHECK(load_weights(model.path()).size() == 2);
  }
  SECTION("an empty model") {
    model.put_index(R"({"weight_map":{}})");
    CHECK(load_weights(model.path()).size() == 0);
    torch::nn::Module module;
    CHECK(load_state_dict(module, model.path()).fits());
  }
}

TEST_CASE("which model of a directory is meant", "[sharded]") {
  const TwoShards model;
  SECTION("one file and an index are ambiguous, unless named") {
    put(model.at("model.safetensors"), one_tensor("c"));
    CHECK(contains(model.error(),
                   "invalid_argument: this directory has two models, "
                   "'model.safetensors' and 'model.safetensors.index.json'"));
    CHECK(load_weights(model.at("model.safetensors")).contains("c"));
    CHECK(load_weights(model.index()).contains("a"));
  }
  SECTION("an index without a variant comes first") {
    put(model.at("model.fp16.safetensors.index.json"), "{}");
    CHECK(load_weights(model.path()).contains("a"));
  }
  SECTION("one variant alone is taken, and two are ambiguous") {
    fs::rename(model.index(), model.at("model.fp16.safetensors.index.json"));
    CHECK(load_weights(model.path()).contains("a"));
    put(model.at("diffusion_pytorch_model.safetensors.index.json"), "{}");
    CHECK(contains(model.error(), "two models"));
  }
  SECTION("safetensors come before .bin") {
    put(model.at("pytorch_model.bin.index.json"), "{}");
    put(model.at("pytorch_model.bin"), "x");
    CHECK(load_weights(model.path()).contains("a"));
  }
  SECTION("one file alone") {
    fs::remove(model.index());
    put(model.at("model.safetensors"), one_tensor("c"));
    CHECK(load_weights(model.path()).contains("c"));
  }
  SECTION("shards without an index") {
    fs::remove(model.index());
    CHECK(contains(model.error(),
                   "not_found: this directory has the shard "
                   "'model-00001-of-00002.safetensors', but not the index "
                   "'model.safetensors.index.json'"));
  }
  SECTION("the path of the single file leads to the index, if there is no such file") {
    CHECK(load_weights(model.at("model.safetensors")).contains("a"));
  }
}

TEST_CASE("each fault of the ranks' files is refused by name", "[sharded]") {
  const TemporaryDirectory directory;
  const auto error = [&] { return error_of([&] { load(directory.path()); }); };
  put(directory / kRank0, rank_file(2, at_row(0)));
  put(directory / kRank1, rank_file(1, at_row(2)));
  CHECK(load_weights(directory.path())["t"].equal(
      torch::tensor({{0, 1}, {2, 3}, {0, 1}}, torch::kByte)));
  const auto refuse = [&](int rows, const std::string& info, const std::string& what) {
    put(directory / kRank1, rank_file(rows, info));
    INFO(error());
    CHECK(contains(error(), "corrupt: "));
    CHECK(contains(error(), what));
  };
  refuse(1, at_row(1), "the tensor 't': its parts overlap: [0:2, 0:2]");
  refuse(1, at_row(3), "the tensor 't': its parts do not cover it");
  refuse(1, R"({"t": {"saved_offsets": [2]}})", "the same number of dimensions");
  refuse(1, R"({"t": {"saved_offsets": [-1, 0]}})", "saved_offsets");
  refuse(1, R"({"t": {"saved_offsets": [9223372036854775807, 0]}})", "an impossible place");
  refuse(1, R"({"t": {}})", "saved_offsets");
  refuse(1, R"({"t": []})", "no offsets for 't'");
  refuse(1, "[]", "the JSON is not an object");
  refuse(1, "{", "corrupt: ");
  refuse(1, "{}", "the tensor 't': the metadata does not say where");
  refuse(1, R"({"t": {"saved_offsets": [2, 0]}, "u": {"saved_offsets": [0]}})",
         "the tensor 'u': the metadata gives its place");
  put(directory / kRank1, one_tensor("t"));
  CHECK(contains(error(), "the metadata lacks 'DCP_SHARDING_INFO'"));
  put(directory / kRank1,
      safetensors_of(R"({"__metadata__":{"DCP_SHARDING_INFO":"{\"t\":{\"saved_offsets\":[2,0]}}"},)"
                     R"("t":{"dtype":"I8","shape":[1,2],"data_offsets":[0,2]}})",
                     2));
  CHECK(contains(error(), "several dtypes"));

  // An empty part at the end, as of a rank without a share.
  put(directory / kRank1, rank_file(0, at_row(2)));
  CHECK(load_weights(directory.path())["t"].sizes() == at::IntArrayRef({2, 2}));
  // The files of a rank in between are missing.
  fs::rename(directory / kRank1, directory / "shard-00003-model-00001-of-00001.safetensors");
  CHECK(contains(error(), "not_found: there are files of rank 2, but none of rank 1"));
}

TEST_CASE("tied tensors need one name of several", "[sharded][tied]") {
  const TemporaryDirectory directory;
  const at::Tensor values = torch::arange(6.0).reshape({3, 2});
  StateDict dict;
  dict.insert("embedding", values);
  dict.insert("bias", torch::ones({3}));
  Tied model;
  const auto report = load_state_dict(*model, dict);
  CHECK(report.fits());
  CHECK(model->head.equal(values));
  CHECK(model->head.is_same(model->embedding));

  SECTION("by a second tensor over the same memory too") {
    torch::nn::Module other;
    const at::Tensor memory = torch::zeros({3, 2});
    other.register_buffer("head", memory.view({3, 2}));
    other.register_buffer("embedding", memory);
    other.register_buffer("bias", torch::zeros({3}));
    CHECK(load_state_dict(other, dict).fits());
    CHECK(other.named_buffers()["head"].equal(values));
  }
  SECTION("but not without any of them, nor for another view") {
    StateDict no_weights;
    no_weights.insert("bias", torch::ones({3}));
    const std::string error = error_of([&] { load_state_dict(*model, no_weights); });
    CHECK(contains(error, "head"));
    CHECK(contains(error, "embedding"));
    torch::nn::Module other;
    const at::Tensor memory = torch::zeros({3, 2});
    other.register_buffer("head", memory.view({2, 3}));
    other.register_buffer("embedding", memory);
    other.register_buffer("bias", torch::zeros({3}));
    CHECK(contains(error_of([&] { load_state_dict(other, dict); }), "head"));
  }
  SECTION("in the metadata of a file, the dropped name is a name of its tensor") {
    const std::string path = directory / "model.safetensors";
    checkpoint::save(dict, path,
                     SaveOptions().metadata({{"head", "embedding"}, {"note", "bias?"}}));
    const StateDict both = load_weights(path);
    CHECK(both.size() == 3);
    CHECK(both["head"].is_same(both["embedding"]));
    // A module whose tensors are not tied gets both.
    torch::nn::Module untied;
    for (const char* name : {"head", "embedding"})
      untied.register_buffer(name, torch::zeros({3, 2}));
    untied.register_buffer("bias", torch::zeros({3}));
    load_state_dict(untied, path);
    CHECK(untied.named_buffers()["head"].equal(values));
    // One that knows the kept name only is complete.
    torch::nn::Module plain;
    plain.register_buffer("embedding", torch::zeros({3, 2}));
    plain.register_buffer("bias", torch::zeros({3}));
    CHECK(load_state_dict(plain, path).fits());
  }
}

TEST_CASE("shards are filled as huggingface_hub fills them", "[sharded]") {
  const StateDict dict = four_tensors();
  format::NamedTensors tensors;
  for (const auto& entry : dict) tensors.emplace_back(entry.key(), entry.value());
  const auto names = [](const format::ShardPlan& plan) {
    std::vector<std::vector<std::string>> result;
    for (const auto& shard : plan.shards) {
      result.emplace_back();
      for (const auto& [name, tensor] : shard) result.back().push_back(name);
    }
    return result;
  };
  using Lists = std::vector<std::vector<std::string>>;
  // The large one is closed first, while the shard with small.1 is still open.
  const format::ShardPlan plan = plan_shards(tensors, 16, format::Ties::kDropped);
  CHECK(names(plan) == Lists{{"large"}, {"small.1", "small.2"}, {"small.3"}});
  CHECK(plan.total_bytes == 64);
  CHECK(names(plan_shards(tensors, 48, format::Ties::kDropped)) ==
        Lists{{"small.1", "large"}, {"small.2", "small.3"}});
  CHECK(names(plan_shards(tensors, 64, format::Ties::kDropped)).size() == 1);
  CHECK(names(plan_shards({}, 64, format::Ties::kDropped)) == Lists{{}});
  CHECK(contains(error_of([&] { plan_shards(tensors, 0, format::Ties::kDropped); }),
                 "invalid_argument: max_shard_size"));

  tensors.emplace_back("again", tensors[1].second);
  const format::ShardPlan tied = plan_shards(tensors, 48, format::Ties::kDropped);
  CHECK(names(tied) == Lists{{"small.1", "small.2", "small.3"}, {"again"}});
  CHECK(tied.dropped == std::map<std::string, std::string>{{"large", "again"}});
  CHECK(tied.total_bytes == 64);
  const format::ShardPlan together = plan_shards(tensors, 48, format::Ties::kTogether);
  CHECK(names(together) == Lists{{"small.1", "large", "again"}, {"small.2", "small.3"}});
  CHECK(together.total_bytes == 64);
}

TEST_CASE("a model is written in several files and read again", "[sharded]") {
  const TemporaryDirectory directory;
  const std::string path = directory / "out/model.safetensors";
  const StateDict dict = four_tensors();
  checkpoint::save(dict, path,
                   SaveOptions().max_shard_size(16).metadata({{"note", "of \"ours\""}}));
  CHECK(names_in(directory / "out") == std::set<std::string>{"model-00001-of-00003.safetensors",
                                                             "model-00002-of-00003.safetensors",
                                                             "model-00003-of-00003.safetensors",
                                                             "model.safetensors.index.json"});
  CHECK(text_of_file(path + ".index.json") == R"({
  "metadata": {
    "total_size": 64,
    "note": "of \"ours\""
  },
  "weight_map": {
    "large": "model-00001-of-00003.safetensors",
    "small.1": "model-00002-of-00003.safetensors",
    "small.2": "model-00002-of-00003.safetensors",
    "small.3": "model-00003-of-00003.safetensors"
  }
}
)");
  CHECK(load_metadata(directory / "out/model-00001-of-00003.safetensors") ==
        std::map<std::string, std::string>{{"format", "pt"}});
  check_same(load_weights(directory / "out"), dict);
  check_same(load_weights(path), dict);  // The path that was saved to.
  CHECK(load_metadata(path).at("note") == "of \"ours\"");

  SECTION("a later save replaces it, with fewer shards") {
    StateDict other = four_tensors();
    other["large"].mul_(2);
    checkpoint::save(other, path, SaveOptions().max_shard_size(48));
    CHECK(names_in(directory / "out") == std::set<std::string>{"model-00001-of-00002.safetensors",
                                                               "model-00002-of-00002.safetensors",
                                                               "model.safetensors.index.json"});
    check_same(load_weights(path), other);
  }
  SECTION("a later save replaces it, with shards of the same names") {
    StateDict other = four_tensors();
    other["large"].mul_(2);
    fs::permissions(path + ".index.json", fs::perms::owner_read | fs::perms::owner_write);
    checkpoint::save(other, path, SaveOptions().max_shard_size(16));
    CHECK(names_in(directory / "out").size() == 4);
    check_same(load_weights(path), other);
    for (const std::string& name : names_in(directory / "out")) {
      CHECK(fs::status(directory / ("out/" + name)).permissions() ==
            (fs::perms::owner_read | fs::perms::owner_write));
    }
  }
  SECTION("a later save replaces it by one file, and that one by shards again") {
    checkpoint::save(dict, path, SaveOptions().max_shard_size(64));
    CHECK(names_in(directory / "out") == std::set<std::string>{"model.safetensors"});
    check_same(load_weights(directory / "out"), dict);
    checkpoint::save(dict, path, SaveOptions().max_shard_size(48));
    CHECK(names_in(directory / "out").size() == 3);
    check_same(load_weights(directory / "out"), dict);
  }
  SECTION("what is not of this save stays") {
    put(directory / "out/model-extra.safetensors", "x");
    put(directory / "out/other-00001-of-00002.safetensors", "x");
    checkpoint::save(dict, path, SaveOptions().max_shard_size(1000));
    CHECK(names_in(directory / "out") == std::set<std::string>{"model.safetensors",
                                                               "model-extra.safetensors",
                                                               "other-00001-of-00002.safetensors"});
  }
  SECTION("a write-protected shard is not replaced, and nothing changes") {
    fs::permissions(directory / "out/model-00002-of-00003.safetensors", fs::perms::owner_read);
    const auto before = names_in(directory / "out");
    CHECK(
        contains(error_of([&] { checkpoint::save(dict, path, SaveOptions().max_shard_size(16)); }),
                 "io: not replaced: the file is write-protected"));
    CHECK(names_in(directory / "out") == before);
  }
}

TEST_CASE("a tied tensor is written once, and loads under both names", "[sharded][tied]") {
  const TemporaryDirectory directory;
  Tied model;
  {
    const torch::NoGradGuard no_grad;
    model->head.copy_(torch::arange(6.0).reshape({3, 2}));
  }
  for (const int64_t size : {24, 1000}) {
    const std::string path = directory / (std::to_string(size) + "/model.safetensors");
    checkpoint::save(state_dict(*model), path,
                     SaveOptions().max_shard_size(static_cast<uint64_t>(size)));
    CHECK(load_metadata(path).at("head") == "embedding");
    check_same(load_weights(path), state_dict(*model));
    Tied other;
    load_state_dict(*other, path);
    CHECK(other->head.equal(model->head));
  }
}

TEST_CASE("a tree that is more than tensors is whole again", "[sharded]") {
  const TemporaryDirectory directory;
  Dict model;
  model.insert("w", torch::arange(6.0));
  model.insert("b", torch::arange(3.0));
  Dict tree;
  tree.insert("epoch", 7);
  tree.insert("model", model);
  for (const uint64_t size : {uint64_t{24}, uint64_t{1000}}) {
    const std::string path = directory / (std::to_string(size) + ".safetensors");
    checkpoint::save(tree, path, SaveOptions().max_shard_size(size));
    const Value again = load(path);
    CHECK(again.dict().at("epoch").to_int() == 7);
    CHECK(again.dict().at("model").dict().at("w").to_tensor().equal(torch::arange(6.0)));
    CHECK(load_metadata(path).count("torch_checkpoint.tree") == 0);
  }
}

TEST_CASE(".bin shards for Python, and what cannot be in several files", "[sharded]") {
  const TemporaryDirectory directory;
  StateDict dict = four_tensors();
  dict.insert("view", dict["large"].slice(0, 2, 4));
  const auto options = SaveOptions().max_shard_size(16).format(Format::kPth);
  checkpoint::save(dict, directory / "pytorch_model.bin", options);
  CHECK(names_in(directory.path()).count("pytorch_model-00003-of-00003.bin") == 1);
  const StateDict again = load_weights(directory.path());
  check_same(again, dict);
  again["large"].zero_();
  CHECK(again["view"].equal(torch::zeros({2})));

  const auto error = [&](const std::string& name, const SaveOptions& wanted) {
    return error_of([&] { checkpoint::save(dict, directory / name, wanted); });
  };
  CHECK(
      contains(error("m.pth", options), "invalid_argument: a model in several files needs a name"));
  CHECK(contains(error("m.pt", SaveOptions().max_shard_size(1)),
                 "unsupported: max_shard_size is for .safetensors files"));
  Dict tree;
  tree.insert("epoch", 1);
  CHECK(contains(error_of([&] { checkpoint::save(tree, directory / "m.bin", options); }),
                 "a flat dict of tensors"));
}

TEST_CASE("safetensors' newer dtypes: read where LibTorch has them, named where not",
          "[sharded][dtypes]") {
  const TemporaryDirectory directory;
  for (const std::string name : {"bool", "complex64", "float4_e2m1fn_x2", "float8_e4m3fnuz",
                                 "float8_e5m2fnuz", "float8_e8m0fnu", "uint16"}) {
    INFO(name);
    const std::string path = hugging_face("safetensors_dtypes/" + name + ".safetensors");
    const auto dtype = format::find_dtype(name);
    if (!dtype) {
      const std::string error = error_of([&] { load(path); });
      CHECK(contains(error, "unsupported: the tensor '" + name + "' is of the dtype "));
      CHECK(contains(error, "which this LibTorch does not have"));
      continue;
    }
    const at::Tensor tensor = load_weights(path)[name];
    CHECK(tensor.scalar_type() == *dtype);
    CHECK(tensor.sizes() == at::IntArrayRef({2, 3}));
    const auto* const bytes = static_cast<const unsigned char*>(tensor.data_ptr());
    for (size_t i = 0; i < tensor.nbytes(); ++i) {
      CHECK(bytes[i] == (name == "bool" ? i % 2 : i));
    }
    // The same bytes as the reference implementation's.
    StateDict dict;
    dict.insert(name, tensor);
    checkpoint::save(dict, directory / "x.safetensors");
    const std::string written = text_of_file(directory / "x.safetensors");
    const std::string theirs = text_of_file(path);
    const auto data = [&](const std::string& text) {
      return text.substr(text.size() - tensor.nbytes());
    };
    CHECK(data(written) == data(theirs));
    const size_t entry = theirs.find('"' + name + "\":");
    CHECK(contains(written, theirs.substr(entry, theirs.find(']', entry) - entry)));
    check_same(load_weights(directory / "x.safetensors"), dict);
  }
}

TEST_CASE("safetensors' packed dtypes by hand", "[sharded][dtypes]") {
  const auto error = [](const std::string& name) {
    return error_of(
        [&] { load(hugging_face("safetensors_dtypes/hand_" + name + ".safetensors")); });
  };
  // Not valid, whatever LibTorch has.
  CHECK(contains(error("f4_half_byte"), "corrupt: the tensor 'x' of F4 has 12 bits"));
  CHECK(contains(error("f6_36bits"), "corrupt: the tensor 'x' of F6_E3M2 has 36 bits"));
  // Valid, and nothing that LibTorch has.
  CHECK(contains(error("f6_e2m3"), "unsupported: the tensor 'x' is of the dtype F6_E2M3"));
  const bool has_f4 = format::find_dtype("float4_e2m1fn_x2").has_value();
  CHECK(contains(error("f4_odd_last"), has_f4 ? "an odd last dimension" : "of the dtype F4"));
  CHECK(error("f4_even").empty() == has_f4);
  CHECK(error("e8m0").empty() == format::find_dtype("float8_e8m0fnu").has_value());
  for (const char* valid :
       {"unaligned_f32", "empty_twice", "metadata_null", "extra_field", "no_tensors"}) {
    CHECK(error(valid).empty());
  }
  CHECK(contains(error("metadata_int"), "corrupt: "));

  const TemporaryDirectory directory;
  const auto load_header = [&](const std::string& header, size_t bytes) {
    put(directory / "x.safetensors", safetensors_of(header, bytes));
    return error_of([&] { load(directory / "x.safetensors"); });
  };
  CHECK(contains(load_header(R"({"x":{"dtype":"F4","shape":[],"data_offsets":[0,1]}})", 1),
                 "corrupt: the tensor 'x' of F4 has 4 bits"));
  CHECK(contains(load_header(R"({"x":{"dtype":"F6_E3M2","shape":[4],"data_offsets":[0,4]}})", 4),
                 "another number of bytes"));
  CHECK(contains(load_header(R"({"x":{"dtype":"F64","shape":[288230376151711744],)"
                             R"("data_offsets":[0,8]}})",
                             8),
                 "an impossible shape"));
  CHECK(contains(load_header(R"({"x":{"dtype":"F5","shape":[1],"data_offsets":[0,1]}})", 1),
                 "corrupt: "));
}
