#include "support/catch.h"
#include "support/error_of.h"

#include "store/io/byte_sink.h"
#include "store/records/tensor_table.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

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

base::Digest digest(char digit) { return *base::Digest::from(std::string(32, digit)); }

TensorTable example() {
  TensorTable table;
  table.tensors.push_back(
      {"model.\"quoted\".w", "float32", {2, 3}, "cuda:1", "checkpoint.pt", 64, 24, digest('b')});
  table.tensors.push_back({"empty", "int64", {0}, "cpu", "checkpoint.pt", 0, 0, {}});
  table.optimizer_parameters["optimizer"] = {{"model.w", ""}, {}};
  return table;
}

TensorTable example_of_ranks() {
  TensorTable table = example();
  table.tensors[0].parts = {{"0.pt", 8, 12, digest('c'), {0, 0}, {1, 3}},
                            {"1.pt", 16, 12, digest('d'), {1, 0}, {1, 3}}};
  table.tensors[0].strides = {3, 1};
  table.tensors[1].rank = 1;
  return table;
}

// Returns `text` with each `from` replaced by `to`.
std::string replaced(std::string text, const std::string& from, const std::string& to) {
  REQUIRE(contains(text, from));
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
  return text;
}

std::string error_for(const std::string& table) {
  return error_of([&] { decode_tensor_table(table, "p"); });
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
  CHECK(back.tensors[0].xxh3_128 == digest('b'));
  CHECK(back.tensors[1].shape == std::vector<int64_t>{0});
  CHECK(back.optimizer_parameters == example().optimizer_parameters);
  CHECK(decode_tensor_table(encode({}), "p").tensors.empty());
}

TEST_CASE("A table of many tensors keeps their order, one line for each") {
  for (const size_t count : {2047, 2048, 2049, 20000}) {
    TensorTable table;
    for (size_t i = 0; i < count; ++i) {
      table.tensors.push_back(
          {"layer" + std::to_string(i), "float32", {1}, "cpu", "f", 64 * i, 4, {}});
    }
    const std::string text = encode(table);
    const std::vector<TensorEntry> back = decode_tensor_table(text, "p").tensors;
    REQUIRE(back.size() == count);
    size_t wrong = 0;
    for (size_t i = 0; i < count; ++i) {
      wrong += back[i].key != table.tensors[i].key || back[i].offset != 64 * i;
    }
    CHECK(wrong == 0);
    const std::string empty = encode({});
    const auto lines = [](const std::string& of) { return std::count(of.begin(), of.end(), '\n'); };
    CHECK(static_cast<size_t>(lines(text) - lines(empty)) == count);
  }
}

TEST_CASE("A table of several ranks comes back as it was") {
  TensorTable table = example_of_ranks();
  table.of_ranks[0].optimizer_parameters["own"] = {{"model.w"}};
  table.of_ranks[1].eval_modules["critic"] = {"critic.0", "critic.1"};
  const TensorTable back = decode_tensor_table(encode(table), "p");
  REQUIRE(back.tensors.size() == 2);
  REQUIRE(back.tensors[0].parts.size() == 2);
  CHECK(back.tensors[0].parts[1].file == "1.pt");
  CHECK(back.tensors[0].parts[1].at == std::vector<int64_t>{1, 0});
  CHECK(back.tensors[0].parts[1].shape == std::vector<int64_t>{1, 3});
  CHECK(back.tensors[0].strides == std::vector<int64_t>{3, 1});
  CHECK(back.tensors[1].rank == 1);
  CHECK(back.optimizer_parameters == table.optimizer_parameters);
  REQUIRE(back.of_ranks.size() == 2);
  CHECK(back.of_ranks.at(0).optimizer_parameters == table.of_ranks[0].optimizer_parameters);
  CHECK(back.of_ranks.at(1).eval_modules == table.of_ranks[1].eval_modules);

  const std::string text = encode(table);
  for (const char* bad : {"[-1, {", "[0.5, {", "[{", "[0, 1, {"}) {
    std::string other = text;
    other.replace(other.find("[0, {"), 5, bad);
    CHECK_THROWS_AS(decode_tensor_table(other, "p"), Error);
  }
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
  CHECK_THROWS_AS(decode_tensor_table(changed("bb\"", "b\""), "p"), Error);
  CHECK_THROWS_AS(decode_tensor_table(changed("tensors\",", "others\","), "p"), Error);
  CHECK_THROWS_AS(decode_tensor_table(changed("[[\"model.w\"", "[[1"), "p"), Error);
}

TEST_CASE("Fields that a table of a later version has are skipped, wherever they are") {
  const std::string text = encode(example_of_ranks());
  const std::string more =
      GENERATE(as<std::string>(), "1", "-1", "0.5", "null", "true", R"("text")", "[]", "{}",
               R"([[1, "a"], {"key": 1, "parts": [{}]}])", R"({"key": {"key": [null]}, "at": -1})");
  INFO(more);
  // At the begin of each tensor and each part, and at their ends.
  std::string longer = replaced(text, "{\"key\":", "{\"more\":" + more + ",\"key\":");
  longer = replaced(longer, "{\"file\":", "{\"more\":" + more + ",\"file\":");
  longer = replaced(longer, "[1,3]}", "[1,3],\"key\":" + more + "}");
  longer = replaced(longer, "\"xxh3_128\":\"\"}", "\"xxh3_128\":\"\",\"at\":" + more + "}");
  const TensorTable table = decode_tensor_table(longer, "p");
  CHECK(encode(table) == text);
}

TEST_CASE("What is wrong with a tensor of a table is named") {
  const std::string text = encode(example_of_ranks());
  const auto error_with = [&](const std::string& from, const std::string& to) {
    const std::string error = error_for(replaced(text, from, to));
    CHECK(contains(error, "(p)"));
    return error;
  };
  CHECK(contains(error_with("[2,3]", "[2,-3]"), "'shape' must hold sizes"));
  CHECK(contains(error_with("[2,3]", "[2,[3]]"), "'shape' must hold sizes"));
  CHECK(contains(error_with("[2,3]", "[2,{\"a\":3}]"), "'shape' must hold sizes"));
  CHECK(contains(error_with("[2,3]", "[9223372036854775808]"), "'shape' must hold sizes"));
  CHECK(contains(error_with("[2,3]", "{}"), "'shape' is not an array"));
  CHECK(contains(error_with("[2,3]", "6"), "'shape' is not an array"));
  CHECK(contains(error_with("\"at\":[1,0]", "\"at\":[\"1\",0]"), "'at' must hold sizes"));
  CHECK(contains(error_with("\"rank\":1", "\"rank\":-1"), "'rank' is not a non-negative integer"));
  CHECK(contains(error_with("\"rank\":1", "\"rank\":9223372036854775808"), "'rank' is not"));
  CHECK(contains(error_with("\"parts\":[", "\"parts\":[1,"), "'parts' has an entry that is not"));
  CHECK(contains(error_with("\"parts\":[", "\"parts\":[[],"), "'parts' has an entry that is not"));
  CHECK(
      contains(error_with("\"parts\":[", "\"parts\":[\"\","), "'parts' has an entry that is not"));
  CHECK(contains(error_with("\"offset\":16", "\"offset\":\"16\""), "'offset' is not a non-neg"));
  CHECK(contains(error_with("\"offset\":16,", ""), "'offset' is missing"));
  CHECK(contains(error_with("\"dtype\":\"int64\",", ""), "'dtype' is missing"));
  CHECK(contains(error_with("\"dtype\":\"int64\"", "\"dtype\":null"), "'dtype' is not a string"));
  CHECK(contains(error_with("{\"key\":", "{\"key\":\"\",\"key\":"), "'key' is there twice"));
  CHECK(contains(error_with("{\"file\":", "{\"file\":\"a\",\"file\":"), "'file' is there twice"));
  std::string many = "[1";
  for (int i = 0; i < 1024; ++i) many += ",1";
  CHECK(contains(error_with("[2,3]", many + "]"), "'shape' has more than 1024 numbers"));
}

TEST_CASE("A tensor in parts has no place of its own") {
  const std::string own = R"("file":"9.pt","offset":9,"bytes":9,"xxh3_128":"")";
  const std::string text = encode(example_of_ranks());
  const TensorTable back =
      decode_tensor_table(replaced(text, "\"parts\"", own + ",\"parts\""), "p");
  CHECK(encode(back) == text);
  CHECK(back.tensors[0].file.empty());
  CHECK(back.tensors[0].offset == 0);
  CHECK(back.tensors[0].bytes == 24);
}
