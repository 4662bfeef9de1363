// A save of several files that stops at any call, or on a machine that stops there: what is found
// afterwards is the old model, the new one, or an error. Never shards of both.

#include "support/catch.h"
#include "support/error_of.h"
#include "support/faulty_file_system.h"
#include "support/memory_file_system.h"

#include "format/read_file.h"
#include "format/safetensors/safetensors.h"
#include "format/sharded/find_shards.h"
#include "format/sharded/sharded_model.h"
#include "format/sharded/write_sharded.h"
#include "store/io/file.h"

#include <torch/torch.h>

#include <map>
#include <string>

using namespace checkpoint;
using namespace checkpoint::format;

namespace {

constexpr char kModel[] = "/m/model.safetensors";

// A model whose tensors all hold `value`.
NamedTensors model_of(double value) {
  NamedTensors tensors;
  for (const char* name : {"a", "b", "c"}) {
    tensors.emplace_back(name, torch::full({4}, value, torch::kFloat));
  }
  return tensors;
}

void write_model(store::FileSystem& files, double value, uint64_t max_bytes) {
  write_sharded(files, kModel, plan_shards(model_of(value), max_bytes, Ties::kDropped), {},
                [](const NamedTensors& tensors, const auto& metadata, store::ByteSink& sink) {
                  Dict dict;
                  for (const auto& [name, tensor] : tensors) dict.insert(name, tensor);
                  write_safetensors(dict, metadata, sink);
                });
}

// The value that all tensors of the directory's model hold; 0 if there is none. Fails if they hold
// several.
double read_model(store::FileSystem& files) {
  double value = 0;
  const auto check = [&](const Sources& sources, const DecodedArchive& archive) {
    REQUIRE(archive.tree().dict().size() == 3);
    for (const auto& [name, placeholder] : archive.tree().dict()) {
      const at::Tensor tensor = load_tensor(sources, archive, placeholder.to_tensor());
      const double own = tensor[0].item<double>();
      REQUIRE((value == 0 || value == own));
      REQUIRE(tensor.eq(own).all().item<bool>());
      value = own;
    }
  };
  try {
    const FoundModel found = find_model(files, "/m");
    if (found.kind == FoundModel::Kind::kFile) {
      const store::File file = store::File::open(files, found.path);
      check([&](size_t) -> const store::ByteSource& { return file; }, read_file(file));
    } else if (found.kind != FoundModel::Kind::kNone) {
      const ShardedModel model(files, found);
      check([&](size_t i) -> const store::ByteSource& { return model.file(i); },
            model.decode(read_file));
    }
  } catch (const Error& error) {
    INFO(error.what());
    // Without an index, or with two models: both are said. Nothing may be damaged.
    REQUIRE((error.code() == ErrorCode::kNotFound || error.code() == ErrorCode::kInvalidArgument));
    return 0;
  }
  return value;
}

struct Shape {
  uint64_t before;  // The most bytes of a shard. 0: there was no model.
  uint64_t after;
  bool same_names;
};

constexpr Shape kShapes[] = {
    {0, 16, false}, {16, 16, true}, {32, 16, false}, {16, 1000, false}, {1000, 16, false}};

}  // namespace

TEST_CASE("no stop during a sharded save leaves half a model", "[sharded][fault]") {
  using test::DataFate;
  using test::EntryFate;
  for (const Shape& shape : kShapes) {
    test::MemoryFileSystem prepared;
    prepared.put("/m/config.json", "{}");
    if (shape.before > 0) write_model(prepared, 1, shape.before);
    test::MemoryFileSystem counted = prepared;
    test::FaultyFileSystem counting(counted);
    counting.arm(-1, {test::Fault::Kind::kError});
    write_model(counting, 2, shape.after);
    REQUIRE(read_model(counted) == 2);
    const size_t calls = counting.calls().size();
    std::map<double, int> seen;
    for (size_t call = 0; call <= calls; ++call) {
      test::MemoryFileSystem disk = prepared;
      test::FaultyFileSystem faulty(disk);
      faulty.arm(static_cast<int>(call), {test::Fault::Kind::kStop});
      try {
        write_model(faulty, 2, shape.after);
      } catch (const Error&) {
      }
      INFO(shape.before << " " << shape.after << " call " << call);
      ++seen[read_model(disk)];
      for (const auto entries : {EntryFate::kLost, EntryFate::kKept, EntryFate::kSome}) {
        for (const auto data : {DataFate::kLost, DataFate::kKept, DataFate::kGarbage}) {
          test::MemoryFileSystem crashed = disk;
          crashed.crash(data, entries, static_cast<uint32_t>(call));
          ++seen[read_model(crashed)];
        }
      }
    }
    CHECK(seen[2] > 0);
    if (shape.before > 0) CHECK(seen[1] > 0);
    // Only where files of the same names are replaced, or two models are there, is neither found.
    if (shape.before == 32) CHECK(seen[0] == 0);
  }
}

TEST_CASE("an error before the old index goes changes nothing", "[sharded][fault]") {
  test::MemoryFileSystem prepared;
  write_model(prepared, 1, 16);
  const std::vector<std::string> before = prepared.names("/m");
  test::MemoryFileSystem counted = prepared;
  test::FaultyFileSystem counting(counted);
  counting.arm(-1, {test::Fault::Kind::kError});
  write_model(counting, 2, 16);
  const std::vector<std::string> calls = counting.calls();
  int failed = 0;
  for (size_t call = 0; call < calls.size(); ++call) {
    if (calls[call] == "unlink") break;  // The old index.
    if (calls[call] != "fsync" && calls[call] != "pwrite") continue;
    test::MemoryFileSystem disk = prepared;
    test::FaultyFileSystem faulty(disk);
    faulty.fail(static_cast<int>(call), ENOSPC);
    const std::string error = error_of([&] { write_model(faulty, 2, 16); });
    CHECK(!error.empty());
    CHECK(disk.names("/m") == before);
    CHECK(read_model(disk) == 1);
    ++failed;
  }
  CHECK(failed >= 8);
}

TEST_CASE("a model that is replaced while it is opened is opened again", "[sharded][fault]") {
  test::MemoryFileSystem disk;
  write_model(disk, 1, 16);
  test::FaultyFileSystem counting(disk);
  counting.arm(-1, {test::Fault::Kind::kError});
  REQUIRE(read_model(counting) == 1);
  const size_t calls = counting.calls().size();
  for (size_t call = 0; call < calls; ++call) {
    test::MemoryFileSystem own = disk;
    test::FaultyFileSystem faulty(own);
    faulty.arm(-1, {test::Fault::Kind::kError});
    faulty.before(static_cast<int>(call), [&] { write_model(own, 2, 16); });
    const double value = read_model(faulty);
    CHECK((value == 1 || value == 2));
  }
}
