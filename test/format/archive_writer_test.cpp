#include "support/catch.h"
#include "support/error_of.h"

#include "base/digest.h"
#include "format/torch/archive_reader.h"
#include "format/torch/archive_writer.h"
#include "support/memory_source.h"

#include <torch/torch.h>

#include <cstring>
#include <stdexcept>

using namespace checkpoint;

namespace {

// A sink that fails, in one of the ways a disk can, from the n-th call on.
struct FailingSink final : store::ByteSink {
  explicit FailingSink(int call) : failing(call) {}
  void write(const void* data, size_t count) override {
    if (calls++ >= failing) throw Error(ErrorCode::kNoSpace, "the disk is full");
    text.append(static_cast<const char*>(data), count);
  }
  int failing;
  int calls = 0;
  std::string text;
};

Dict example() {
  Dict model;
  model.insert("weight", torch::randn({3, 4}));
  model.insert("empty", torch::zeros({0, 2}));
  Dict tree;
  tree.insert("model", model);
  tree.insert("list", Value::List{torch::ones({5}), torch::arange(7)});
  tree.insert("epoch", 3);
  return tree;
}

}  // namespace

TEST_CASE("A sink that fails at any call is an exception, and never ends the process") {
  FailingSink whole(1 << 30);
  format::write_archive(example(), whole);
  REQUIRE(whole.calls > 10);
  for (int call = 0; call < whole.calls; ++call) {
    FailingSink sink(call);
    CHECK(error_of([&] { format::write_archive(example(), sink); }) ==
          "no_space: the disk is full");
    CHECK(sink.calls == call + 1);  // What comes after the failure is not tried.
  }
}

TEST_CASE("Each tensor's place and digest are those in the file") {
  FailingSink sink(1 << 30);
  const Dict tree = example();
  const std::vector<store::TensorEntry> entries = format::write_archive(tree, sink);
  REQUIRE(entries.size() == 4);
  CHECK(entries[0].key == "model.weight");
  CHECK(entries[0].shape == std::vector<int64_t>{3, 4});
  CHECK(entries[1].key == "model.empty");
  CHECK(entries[1].bytes == 0);
  CHECK(entries[3].key == "list.1");
  CHECK(entries[3].dtype == "int64");
  const torch::Tensor& weight = tree.at("model").dict().at("weight").to_tensor();
  CHECK(std::memcmp(sink.text.data() + entries[0].offset, weight.data_ptr(), 48) == 0);
  for (const store::TensorEntry& entry : entries) {
    CHECK(entry.offset % 64 == 0);
    CHECK(base::xxh3_128(sink.text.data() + entry.offset, entry.bytes) == entry.xxh3_128);
  }
}

TEST_CASE("What an archive cannot hold is refused") {
  const auto refused = [](Value value) {
    Dict tree;
    tree.insert("item", std::move(value));
    FailingSink sink(1 << 30);
    return error_of([&] { format::write_archive(tree, sink); });
  };
  Dict integer_keys;
  integer_keys.insert(int64_t{3}, 1);
  CHECK(contains(refused(integer_keys), "'item.3'"));
  Value deep = 1;
  for (int i = 0; i < 200; ++i) deep = Value::List{deep};
  CHECK(contains(refused(deep), "deeper"));
  CHECK(refused(Value::List{integer_keys}).empty());
}

TEST_CASE("Lists that a reader expects to be typed are") {
  Dict tree;
  tree.insert("ints", Value::List{1, 2});
  tree.insert("tensors", Value::List{});
  tree.insert("mixed", Value::List{1, "a"});
  FailingSink sink(1 << 30);
  format::write_archive(tree, sink);
  torch::serialize::InputArchive archive;
  archive.load_from(sink.text.data(), sink.text.size());
  c10::IValue value;
  archive.read("ints", value);
  CHECK(value.isIntList());
  archive.read("tensors", value);
  CHECK(value.isTensorList());
  archive.read("mixed", value);
  CHECK(value.toListRef().size() == 2);
}
