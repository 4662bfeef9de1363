#include "support/catch.h"
#include "support/error_of.h"

#include "base/digest.h"
#include "format/torch/archive_modules.h"
#include "format/torch/archive_pickler.h"
#include "format/torch/archive_reader.h"
#include "format/torch/archive_records.h"
#include "format/torch/archive_writer.h"
#include "format/torch/memory_archive.h"
#include "format/zip/zip_reader.h"
#include "support/memory_source.h"

#include <torch/csrc/jit/serialization/pickler.h>
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

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

std::vector<const void*> data_of(const std::vector<torch::Tensor>& tensors) {
  std::vector<const void*> data;
  for (const torch::Tensor& tensor : tensors) data.push_back(tensor.data_ptr());
  return data;
}

format::ArchiveRecords records_of(const torch::serialize::OutputArchive& archive) {
  format::ArchivePlan plan;
  return format::records_of(archive, plan);
}

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
    CHECK(base::Digest::of(sink.text.data() + entry.offset, entry.bytes) == entry.xxh3_128);
  }
}

TEST_CASE("Tensors with one storage share a record") {
  const torch::Tensor weight = torch::randn({3, 4}), other = torch::ones({2});
  Dict tree;
  tree.insert("weight", weight);
  tree.insert("other", other);
  tree.insert("again", weight);
  tree.insert("list", Value::List{weight.detach(), weight.t()});
  FailingSink sink(1 << 30);
  const std::vector<store::TensorEntry> entries = format::write_archive(tree, sink);
  REQUIRE(entries.size() == 5);
  for (const size_t tied : {2, 3, 4}) {
    CHECK(entries[tied].offset == entries[0].offset);
    CHECK(entries[tied].xxh3_128 == entries[0].xxh3_128);
  }
  CHECK(entries[1].offset > entries[0].offset);
  CHECK(entries[4].shape == std::vector<int64_t>{4, 3});

  torch::serialize::InputArchive archive;
  archive.load_from(sink.text.data(), sink.text.size());
  torch::Tensor read, again;
  archive.read("weight", read, /*is_buffer=*/true);
  archive.read("again", again, /*is_buffer=*/true);
  CHECK(torch::equal(read, weight));
  CHECK(read.is_alias_of(again));
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
  const auto ours = records_of(format::archive_of(modules.make(std::move(entries))));

  torch::serialize::OutputArchive archive;
  archive.write("weight", weight);
  archive.write("0", running_mean, /*is_buffer=*/true);
  archive.write("epoch", c10::IValue(int64_t{3}));
  archive.write("name", c10::IValue("net"));
  archive.write("numbers", numbers);
  const auto theirs = records_of(archive);

  CHECK(ours.pickle == theirs.pickle);
  CHECK(*ours.sources == *theirs.sources);

  format::ArchivePlan plan;
  format::ArchiveEntries other;
  other.add("other", weight);
  format::records_of(format::archive_of(modules.make(std::move(other))), plan);
  CHECK(*format::records_of(archive, plan).sources == *theirs.sources);
  REQUIRE(ours.tensors.size() == 2);
  CHECK(ours.tensors[0].data_ptr() == weight.data_ptr());
}

TEST_CASE("An archive is pickled as LibTorch pickles it") {
  const torch::Tensor shared = torch::arange(12).view({3, 4});
  const auto dict_of = [](c10::TypePtr key,
                          const std::vector<std::pair<c10::IValue, c10::IValue>>& entries) {
    c10::impl::GenericDict dict(std::move(key), c10::AnyType::get());
    for (const auto& [name, value] : entries) dict.insert(name, value);
    return c10::IValue(dict);
  };
  const auto list_of = [](c10::TypePtr type, const std::vector<c10::IValue>& elements) {
    c10::impl::GenericList list(std::move(type));
    for (const c10::IValue& element : elements) list.push_back(element);
    return c10::IValue(list);
  };
  const auto tuple_of = [](std::vector<c10::IValue> elements) {
    return c10::IValue(c10::ivalue::Tuple::create(std::move(elements)));
  };
  format::ArchiveModules modules;
  const auto nested = [&](int i) {
    format::ArchiveEntries entries;
    entries.add("step", c10::IValue(int64_t{i}));
    entries.add("0", torch::full({2}, i));
    return modules.make(std::move(entries));
  };
  format::ArchiveEntries entries;
  entries.add("parameter", torch::randn({3, 4}).requires_grad_());
  for (const auto dtype : {torch::kUInt8, torch::kHalf, torch::kBFloat16, torch::kBool,
                           torch::kDouble, torch::kComplexFloat, torch::kComplexDouble}) {
    entries.add(std::string("buffer ") + c10::toString(dtype), torch::zeros({2}, dtype));
  }
  entries.add("empty", torch::empty({0, 3}));
  entries.add("scalar", torch::tensor(1.5));
  entries.add("shared", shared);
  entries.add("the same", shared);
  entries.add("a view", shared.t());
  int number = 0;
  for (const int64_t value :
       {int64_t{0}, int64_t{255}, int64_t{256}, int64_t{65535}, int64_t{65536}, int64_t{-1},
        int64_t{-40000}, int64_t{2147483647}, int64_t{2147483648}, int64_t{-2147483648},
        int64_t{-2147483649}, std::numeric_limits<int64_t>::min()}) {
    entries.add("int " + std::to_string(number++), c10::IValue(value));
  }
  entries.add("double", c10::IValue(-1e300));
  entries.add("bool", c10::IValue(true));
  entries.add("none", c10::IValue());
  entries.add("complex", c10::IValue(c10::complex<double>(1, -2)));
  entries.add("text", c10::IValue("text"));
  entries.add("text again", c10::IValue("text"));
  entries.add("long text", c10::IValue(std::string(70000, 'x')));
  entries.add("ints", list_of(c10::IntType::get(), {1, 2, 70000}));
  entries.add("doubles", list_of(c10::FloatType::get(), {1.5, 2.5}));
  entries.add("bools", list_of(c10::BoolType::get(), {true, false}));
  entries.add("no tensors", list_of(c10::TensorType::get(), {}));
  entries.add("tensors", list_of(c10::TensorType::get(), {shared}));
  entries.add("texts", list_of(c10::StringType::get(), {"text", "another"}));
  entries.add("any", list_of(c10::AnyType::get(), {1, "text", shared, c10::IValue()}));
  entries.add("lists", list_of(c10::AnyType::get(), {list_of(c10::IntType::get(), {1})}));
  entries.add("by text", dict_of(c10::StringType::get(), {{"a", 1}, {"text", shared}}));
  entries.add("by int", dict_of(c10::IntType::get(), {{1, 1.5}, {300, "text"}}));
  entries.add("empty dict", dict_of(c10::StringType::get(), {}));
  for (size_t size = 0; size < 6; ++size) {
    entries.add("tuple " + std::to_string(size),
                tuple_of(std::vector<c10::IValue>(size, c10::IValue(int64_t{7}))));
  }
  const c10::IValue held = tuple_of({1, "text"});
  entries.add("held", held);
  entries.add("held too", held);
  for (int i = 0; i < 300; ++i) entries.add(std::to_string(i), nested(i));
  const torch::jit::Module module = modules.make(std::move(entries));

  // One after the other: both hold the tensors, and what somebody else holds is remembered.
  const auto [ours, our_data] = [&] {
    const format::PickledModule pickled = format::pickle_module(module);
    return std::pair(pickled.pickle, data_of(pickled.tensors));
  }();
  std::string theirs;
  std::vector<c10::ClassTypePtr> types;
  torch::jit::Pickler pickler(
      [&](const char* bytes, size_t count) { theirs.append(bytes, count); }, nullptr,
      [](const c10::ClassTypePtr& type) { return type->name().value(); }, &types);
  pickler.protocol();
  pickler.pushIValue(module._ivalue());
  pickler.stop();
  CAPTURE(std::mismatch(ours.begin(), ours.end(), theirs.begin(), theirs.end()).first -
          ours.begin());
  CHECK(ours.size() == theirs.size());
  CHECK((ours == theirs));
  CHECK(our_data == data_of(pickler.tensorData()));
}

TEST_CASE("A tree is always written with the same bytes") {
  // The archive's parts are made in parallel, and a pickler asks who else holds a value.
  Dict tree;
  for (int i = 0; i < 300; ++i) {
    Dict nested;
    nested.insert("step", i);
    nested.insert("list", Value::List{i, Tuple{{i, "text"}}});
    nested.insert("tensor", torch::full({2}, i));
    tree.insert(std::to_string(i), std::move(nested));
  }
  const auto written = [&] {
    FailingSink sink(1 << 30);
    format::write_archive(tree, sink);
    return std::move(sink.text);
  };
  const std::string first = written();
  for (int i = 0; i < 20; ++i) CHECK((written() == first));
}

TEST_CASE("An archive has the same bytes, whatever its plan is of") {
  const auto written = [](const Dict& tree, format::ArchivePlan& plan) {
    FailingSink sink(1 << 30);
    format::write_archive(tree, sink, {"any"}, plan);
    return std::move(sink.text);
  };
  const auto tree_of = [](int i) {
    Dict first, second, any, tree;
    first.insert("a", i);
    second.insert("b", i);
    any.insert("x.y", i);
    tree.insert("weight", torch::full({2}, 0.5 * i).requires_grad_());
    tree.insert("first", first);
    tree.insert("second", second);
    tree.insert("also first", first);
    tree.insert("any", any);
    tree.insert("list", Value::List{i, 2});
    tree.insert("tuple", Tuple{{torch::full({i}, 1.0), i}});
    return tree;
  };
  // With one entry replaced by others.
  const auto changed = [&](const char* name, const Dict& others) {
    Dict result;
    for (const auto& [key, value] : tree_of(2)) {
      if (key != Key(name)) {
        result.insert(key, value);
        continue;
      }
      for (const auto& [other, replaced] : others) result.insert(other, replaced);
    }
    return result;
  };
  const Dict second = tree_of(2).at("second").dict(), first = tree_of(2).at("first").dict();
  const std::vector<Dict> trees = {
      tree_of(1),
      tree_of(2),  // Only values differ, and the sizes of a tensor.
      changed("weight", {{"weight", torch::full({2}, 0.5)}}),  // A buffer.
      changed("weight", {{"weight", 2}}),
      changed("list", {{"list", Value::List{2.0}}}),
      changed("second", {{"second", first}}),
      changed("second", {{"second", second}, {"more", 1}}),
      changed("second", {{"second", second}, {"more", first}}),
      changed("first", {}),
      changed("first", {{"renamed", first}}),
  };
  for (const Dict& before : trees) {
    for (const Dict& tree : trees) {
      format::ArchivePlan plan, none;
      written(before, plan);
      CAPTURE(&before - trees.data(), &tree - trees.data());
      CHECK((written(tree, plan) == written(tree, none)));
      CHECK((written(tree, plan) == written(tree, none)));
    }
  }
}

TEST_CASE("A plan remains right after an archive that was refused") {
  Dict nested, tree, refused;
  nested.insert("a", 1);
  tree.insert("nested", nested);
  tree.insert("tensor", torch::ones({2}));
  refused.insert("nested", nested);
  refused.insert("other", Dict{{"b", 1}});
  refused.insert("class", 1);
  const auto write = [](const Dict& written, format::ArchivePlan& plan) {
    FailingSink sink(1 << 30);
    format::write_archive(written, sink, {}, plan);
    return std::move(sink.text);
  };
  format::ArchivePlan plan, none;
  const std::string expected = write(tree, none);
  for (int i = 0; i < 2; ++i) {
    CHECK(contains(error_of([&] { write(refused, plan); }), "keyword"));
    CHECK((write(tree, plan) == expected));
  }
}

TEST_CASE("A name that is refused ends the writing of tensors early") {
  Dict tree;
  tree.insert("class", 1);
  for (int i = 0; i < 3000; ++i) tree.insert("t" + std::to_string(i), torch::zeros({4}));
  // A slow disk: the first record waits until the name can have been seen.
  struct SlowSink final : store::ByteSink {
    void write(const void*, size_t) override {
      if (calls++ < 20) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    int calls = 0;
  } sink;
  CHECK(contains(error_of([&] { format::write_archive(tree, sink); }), "keyword"));
  CHECK(sink.calls < 3000);
}

TEST_CASE("A module with code is refused") {
  torch::jit::Module module("module");
  module.define("def forward(self, x):\n    return x\n");
  CHECK(contains(error_of([&] { format::pickle_module(module); }),
                 "unsupported: the archive has TorchScript code"));
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
    classes += contains(std::string(entry.name), "/code/");
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
