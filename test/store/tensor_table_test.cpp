#include "support/catch.h"

#include "store/io/byte_sink.h"
#include "store/records/tensor_table.h"

#include <checkpoint/error.h>

#include <string>

using namespace checkpoint;
using namespace checkpoint::store;

namespace {

struct StringSink final : ByteSink {
  void write(const void* data, size_t count) override {
    text.append(static_cast<const char*>(data), count);
  }
  std::string text;
};

std::string encode(const TensorTable& table) {
  StringSink sink;
  write_tensor_table(table, sink);
  return sink.text;
}

TensorTable example() {
  TensorTable table;
  table.tensors.push_back({"model.\"quoted\".w",
                           "float32",
                           {2, 3},
                           "cuda:1",
                           "checkpoint.pt",
                           64,
                           24,
                           std::string(32, 'b')});
  table.tensors.push_back({"empty", "int64", {0}, "cpu", "checkpoint.pt", 0, 0, ""});
  table.optimizer_parameters["optimizer"] = {{"model.w", ""}, {}};
  return table;
}

}  // namespace

TEST_CASE("A table of tensors comes back as it was") {
  const TensorTable back = decode_tensor_table(encode(example()), "p");
  REQUIRE(back.tensors.size() == 2);
  CHECK(back.tensors[0].key == "model.\"quoted\".w");
  CHECK(back.tensors[0].dtype == "float32");
  CHECK(back.tensors[0].shape == std::vector<int64_t>{2, 3});
  CHECK(back.tensors[0].device == "cuda:1");
  CHECK(back.tensors[0].offset == 64);
  CHECK(back.tensors[0].bytes == 24);
  CHECK(back.tensors[0].xxh3_128 == std::string(32, 'b'));
  CHECK(back.tensors[1].shape == std::vector<int64_t>{0});
  CHECK(back.optimizer_parameters == example().optimizer_parameters);
  CHECK(decode_tensor_table(encode({}), "p").tensors.empty());
}

TEST_CASE("A table with a tensor that makes no sense is refused") {
  const std::string good = encode(example());
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return text;
  };
  CHECK_THROWS_AS(decode_tensor_table(changed("[2,3]", "[2,-3]"), "p"), Error);
  CHECK_THROWS_AS(decode_tensor_table(changed("\"bytes\":24", "\"bytes\":\"24\""), "p"), Error);
  CHECK_THROWS_AS(decode_tensor_table(changed("checkpoint.pt", "../x"), "p"), Error);
  CHECK_THROWS_AS(decode_tensor_table(changed("\"key\"", "\"kei\""), "p"), Error);
  CHECK_THROWS_AS(decode_tensor_table(changed("tensors\",", "others\","), "p"), Error);
  CHECK_THROWS_AS(decode_tensor_table(changed("[[\"model.w\"", "[[1"), "p"), Error);
}
