#include "support/catch.h"
#include "support/error_of.h"

#include "base/digest.h"
#include "format/torch/archive_modules.h"
#include "format/torch/archive_reader.h"
#include "format/torch/archive_records.h"
#include "format/torch/archive_writer.h"
#include "format/torch/memory_archive.h"
#include "format/zip/zip_reader.h"
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

TEST_CASE("An archive of our making is pickled and printed as one of LibTorch's") {
  const torch::Tensor weight = torch::randn({3, 4}).requires_grad_(),
                      running_mean = torch::ones({4});
  const c10::IValue numbers(std::vector<int64_t>{1, 2});
  format::ArchiveEntries entries;
  entries.add("weight", weight);
  entries.add("0", running_mean);
  entries.add("epoch", c10::IValue(int64_t{3}));
  entries.add("name", c10::IValue("net"));
  entries.add("numbers", numbers);
  format::ArchiveModules modules;
  const auto ours = format::records_of(format::archive_of(modules.make(std::move(entries))));

  torch::serialize::OutputArchive archive;
  archive.write("weight", weight);
  archive.write("0", running_mean, /*is_buffer=*/true);
  archive.write("epoch", c10::IValue(int64_t{3}));
  archive.write("name", c10::IValue("net"));
  archive.write("numbers", numbers);
  const auto theirs = format::records_of(archive);

  CHECK(ours.pickle == theirs.pickle);
  CHECK(ours.sources == theirs.sources);
  REQUIRE(ours.tensors.size() == 2);
  CHECK(ours.tensors[0].data_ptr() == weight.data_ptr());
}

TEST_CASE("Nested archives share a class where their names and types are alike, and only there") {
  const int alike = 100;
  const auto nested = [](int i, bool number, bool parameter) {
    Dict entry;
    entry.insert("step", number ? Value(i) : Value(torch::tensor(i)));
    entry.insert("exp_avg", torch::full({2}, i).to(torch::kFloat).requires_grad_(parameter));
    return entry;
  };
  Dict state;
  for (int i = 0; i < alike; ++i) state.insert(std::to_string(i), nested(i, true, false));
  state.insert("tensor", nested(alike, false, false));
  state.insert("parameter", nested(alike + 1, true, true));
  Dict other_name, other_order, other_type, tree;
  other_name.insert("stop", 1);
  other_name.insert("exp_avg", torch::ones({2}));
  other_order.insert("exp_avg", torch::ones({2}));
  other_order.insert("step", 1);
  other_type.insert("step", 1.0);
  other_type.insert("exp_avg", torch::ones({2}));
  state.insert("other_name", other_name);
  state.insert("other_order", other_order);
  state.insert("other_type", other_type);
  tree.insert("state", state);
  FailingSink sink(1 << 30);
  format::write_archive(tree, sink);

  const MemorySource source(sink.text);
  const format::ZipReader reader(source);
  int classes = 0;
  for (const auto& entry : reader.entries()) {
    classes += contains(entry.name, "/code/");
  }
  CHECK(classes == 1 + 5 + 1 + 1);  // Alike, the other five, the state, the root.

  torch::serialize::InputArchive archive, read_state;
  archive.load_from(sink.text.data(), sink.text.size());
  archive.read("state", read_state);
  int wrong = 0;
  for (int i = 0; i < alike; ++i) {
    torch::serialize::InputArchive entry;
    read_state.read(std::to_string(i), entry);
    c10::IValue step;
    torch::Tensor exp_avg;
    entry.read("step", step);
    entry.read("exp_avg", exp_avg, /*is_buffer=*/true);
    wrong += !step.isInt() || step.toInt() != i || exp_avg[1].item<float>() != float(i);
  }
  CHECK(wrong == 0);
  torch::serialize::InputArchive parameter;
  read_state.read("parameter", parameter);
  torch::Tensor exp_avg;
  parameter.read("exp_avg", exp_avg, /*is_buffer=*/false);
  CHECK(exp_avg[0].item<float>() == float(alike + 1));
}
