// What the reference implementation (safetensors 0.8.0) reads and refuses. The files in
// golden/safetensors were made by hand, and tried with it.

#include "support/catch.h"
#include "support/error_of.h"
#include "support/temporary_directory.h"

#include <checkpoint/file.h>

#include <torch/torch.h>

#include <fstream>
#include <string>

using namespace checkpoint;
using test::TemporaryDirectory;

namespace {

std::string golden(const std::string& name) {
  return std::string(TORCH_CHECKPOINT_GOLDEN) + "/safetensors/" + name + ".safetensors";
}

// A file whose header is this text.
std::string write_file(const TemporaryDirectory& directory, const std::string& header,
                       const std::string& data) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(uint64_t{header.size()} >> (8 * i));
  std::string path = directory / "made.safetensors";
  std::ofstream(path, std::ios::binary) << bytes << header << data;
  return path;
}

std::string with_field(const std::string& value) {
  return R"({"t":{"x":)" + value + R"(,"dtype":"U8","shape":[1],"data_offsets":[0,1],"y":)" +
         value + "}}";
}

std::string nested(size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

void check_only_tensor(const std::string& path, const std::string& name, const at::Tensor& wanted) {
  INFO(path);
  const Value tree = load(path);
  REQUIRE(tree.dict().size() == 1);
  const at::Tensor tensor = tree.dict().at(name).to_tensor();
  CHECK(tensor.scalar_type() == wanted.scalar_type());
  CHECK(tensor.equal(wanted));
}

}  // namespace

TEST_CASE("blanks may stand before a safetensors header", "[formats]") {
  CHECK(load(golden("ws_leading")).dict().empty());
  check_only_tensor(golden("ws_4096"), "a", torch::zeros({1}));
}

TEST_CASE("null is no metadata of a safetensors file", "[formats]") {
  check_only_tensor(golden("meta_null"), "a", torch::zeros({1}));
  check_only_tensor(golden("metadata_null"), "x", torch::tensor({'a'}, torch::kByte));
  CHECK(load_metadata(golden("metadata_null")).empty());
  CHECK(contains(error_of([] { load(golden("metadata_int")); }), "corrupt: "));
}

TEST_CASE("unknown fields of a tensor in a safetensors file are ignored", "[formats]") {
  check_only_tensor(golden("unknown_field"), "a", torch::zeros({1}));
  check_only_tensor(golden("extra_field"), "x", torch::tensor({'a'}, torch::kByte));

  // At any place, twice, and holding what would mean something elsewhere.
  const std::string value = GENERATE(
      "null", "true", "-1", "1.5", "18446744073709551616", R"("F32")", "[]", "{}", "[[2],[0,1]]",
      R"({"dtype":"F32","shape":[[],{"a":null}],"dtype":1})", R"([{"x":[{}]},false,"",-2.5e3])");
  const TemporaryDirectory directory;
  check_only_tensor(write_file(directory, with_field(value), "a"), "t",
                    torch::tensor({'a'}, torch::kByte));
}

TEST_CASE("an unknown field is as deep as the reference's parser goes, and not deeper",
          "[formats]") {
  const TemporaryDirectory directory;
  check_only_tensor(write_file(directory, with_field(nested(125)), "a"), "t",
                    torch::tensor({'a'}, torch::kByte));
  const std::string path = write_file(directory, with_field(nested(126)), "a");
  CHECK(contains(error_of([&] { load(path); }), "nested too deep"));
}

TEST_CASE("safetensors files without tensors, without bytes, and without alignment", "[formats]") {
  CHECK(load(golden("no_tensors")).dict().empty());
  const Value empty = load(golden("empty_twice"));
  REQUIRE(empty.dict().size() == 2);
  CHECK(empty.dict().at("x").to_tensor().equal(torch::zeros({0})));
  CHECK(empty.dict().at("y").to_tensor().equal(torch::zeros({0, 3})));
  for (const bool mmap : {false, true}) {
    const Value tree = load(golden("unaligned_f32"), LoadOptions().mmap(mmap));
    CHECK(tree.dict().at("a").to_tensor().equal(torch::zeros({3}, torch::kByte)));
    CHECK(tree.dict().at("x").to_tensor().equal(torch::zeros({1})));
  }
}
