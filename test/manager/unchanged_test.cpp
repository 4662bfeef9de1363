// reuse_unchanged: a save links the files that hold unchanged tensors, and writes the rest.

#include "support/catch.h"
#include "support/error_of.h"
#include "support/every_kind.h"
#include "support/faulty_file_system.h"
#include "support/fingerprint.h"
#include "support/models.h"
#include "support/temporary_directory.h"

#include "manager/manager_access.h"
#include "state/snapshot/capture.h"
#include "store/records/names.h"

#include <checkpoint/checkpoint.h>

#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <filesystem>

using namespace checkpoint;
using internal::ManagerAccess;
using test::names_in;
using test::TemporaryDirectory;
namespace fs = std::filesystem;

namespace {

CheckpointManagerOptions options() {
  return CheckpointManagerOptions().name("e{epoch}").reuse_unchanged(true);
}

// A model of ten equal parts, of which the first `frozen` never change.
struct Parts {
  explicit Parts(int64_t frozen = 9, int64_t numel = 50000) : frozen(frozen), parts(10) {
    for (size_t i = 0; i < parts.size(); ++i) {
      parts[i] = torch::full({numel}, static_cast<float>(i));
      state.add("part" + std::to_string(i), parts[i]);
    }
    state.add("epoch_count", epoch).rng(false);
  }
  void train() {
    ++epoch;
    for (size_t i = static_cast<size_t>(frozen); i < parts.size(); ++i) parts[i] += 1;
  }
  void forget() {
    epoch = -1;
    for (torch::Tensor& part : parts) part.fill_(-1);
  }
  // Whether all of it is as after so many calls of `train`.
  bool is_at(int64_t count) const {
    for (size_t i = 0; i < parts.size(); ++i) {
      const bool is_frozen = static_cast<int64_t>(i) < frozen;
      const float value = static_cast<float>(static_cast<int64_t>(i) + (is_frozen ? 0 : count));
      if (!torch::equal(parts[i], torch::full_like(parts[i], value))) return false;
    }
    return epoch == count;
  }

  const int64_t frozen;
  std::vector<torch::Tensor> parts;
  int64_t epoch = 0;
  State state;
};

// Counts what is written, and may refuse to link or to commit.
class Counting final : public test::FaultyFileSystem {
 public:
  ssize_t pwrite(int fd, const void* from, size_t count, off_t offset) override {
    const ssize_t written = FaultyFileSystem::pwrite(fd, from, count, offset);
    if (written > 0) bytes_ += static_cast<uint64_t>(written);
    return written;
  }
  int link(const char* from, const char* to) override {
    if (refusal == 0) return FaultyFileSystem::link(from, to);
    errno = refusal;
    return -1;
  }
  int rename_noreplace(const char* from, const char* to) override {
    if (!fails_commit) return FaultyFileSystem::rename_noreplace(from, to);
    errno = EIO;
    return -1;
  }
  // Since the last call.
  uint64_t take() { return bytes_.exchange(0); }
  int refusal = 0;
  bool fails_commit = false;

 private:
  std::atomic<uint64_t> bytes_ = 0;
};

// The names of the files of unchanged tensors in a checkpoint.
std::vector<std::string> shared_in(const std::string& checkpoint) {
  std::vector<std::string> names;
  for (const std::string& name : names_in(checkpoint)) {
    if (store::is_unchanged_file(name)) names.push_back(name);
  }
  return names;
}

bool is_whole(const std::string& checkpoint) {
  const Manifest manifest = read_manifest(checkpoint);
  return shared_in(checkpoint).empty() && manifest.format_version == 1 &&
         manifest.bytes_written == manifest.total_bytes();
}

// Turns a bit over as a disk would: no time of the file tells of it.
void rot(const std::string& file, uint64_t byte) {
  const auto time = fs::last_write_time(file);
  test::flip_bit(file, byte);
  fs::last_write_time(file, time);
}

void save(CheckpointManager& manager, Parts& parts) {
  parts.train();
  manager.save(parts.state, {parts.epoch});
}

bool restores(CheckpointManager& manager, const std::string& name, int64_t frozen, int64_t count) {
  Parts live(frozen);
  live.forget();
  manager.restore(live.state, name);
  return live.is_at(count);
}

// What the library logs while it lives, at the level of warnings.
class Log {
 public:
  Log() {
    spdlog::drop("torch_checkpoint");
    const auto logger = std::make_shared<spdlog::logger>(
        "torch_checkpoint", std::make_shared<spdlog::sinks::ostream_sink_mt>(text_));
    logger->set_level(spdlog::level::warn);
    spdlog::register_logger(logger);
  }
  ~Log() { spdlog::drop("torch_checkpoint"); }
  std::string text() const { return text_.str(); }

 private:
  std::ostringstream text_;
};

}  // namespace

TEST_CASE("Of a model that is frozen to 90 %, at most 0.12 is written again") {
  const Format format = GENERATE(Format::kArchive, Format::kPth);
  const bool async = GENERATE(false, true);
  CAPTURE(static_cast<int>(format), async);
  const TemporaryDirectory root;
  Counting counting;
  Parts parts;
  CheckpointManager manager =
      ManagerAccess::open(counting, root.path(), options().format(format).async(async));
  save(manager, parts);
  manager.wait();
  const uint64_t whole = counting.take();
  CHECK(whole > 2000000);
  CHECK(is_whole(root / "e1"));
  for (int64_t epoch = 2; epoch <= 4; ++epoch) {
    save(manager, parts);
    parts.parts[0] += 0;  // Frozen still.
    manager.wait();
    const uint64_t written = counting.take();
    const std::string name = "e" + std::to_string(epoch);
    INFO(name << ": " << written << " of " << whole);
    CHECK(static_cast<double>(written) <= 0.12 * static_cast<double>(whole));
    const Manifest manifest = read_manifest(root / name);
    CHECK(manifest.format_version == 3);
    CHECK(static_cast<double>(manifest.bytes_written) <= 0.12 * static_cast<double>(whole));
    CHECK(manifest.bytes_written < manifest.total_bytes());
    CHECK(shared_in(root / name) == shared_in(root / "e2"));
    REQUIRE(shared_in(root / name).size() == 1);
    CHECK(fs::hard_link_count(root / (name + '/' + shared_in(root / name)[0])) ==
          static_cast<size_t>(epoch));
    manager.verify(name);
  }
  for (int64_t epoch = 1; epoch <= 4; ++epoch) {
    CHECK(restores(manager, "e" + std::to_string(epoch), 9, epoch));
  }
}

TEST_CASE("What is shared outlives the checkpoints it came from, here and in a copy elsewhere") {
  const Format format = GENERATE(Format::kArchive, Format::kPth);
  const TemporaryDirectory root;
  const TemporaryDirectory elsewhere;
  Parts parts;
  {
    CheckpointManager manager(root / "run", options().format(format).keep_last(1));
    for (int i = 0; i < 5; ++i) save(manager, parts);
    CHECK(names_in(root / "run") ==
          std::vector<std::string>{".lock", "e5", "history.jsonl", "latest"});
    CHECK(restores(manager, "e5", 9, 5));
    const std::string shared = root / ("run/e5/" + shared_in(root / "run/e5").at(0));
    CHECK(fs::hard_link_count(shared) == 1);
  }
  fs::copy(root / "run/e5", elsewhere / "e5");
  fs::remove_all(root / "run");
  CheckpointManager manager(elsewhere.path(), options());
  Parts live;
  live.forget();
  REQUIRE(manager.restore_latest(live.state));
  CHECK(live.is_at(5));
  const Value tree = load(elsewhere / "e5");
  CHECK(torch::equal(tree.dict().at("part3").to_tensor(), parts.parts[3]));
  CHECK(torch::equal(tree.dict().at("part9").to_tensor(), parts.parts[9]));
  save(manager, live);  // Of what was verified, the next save shares.
  CHECK(shared_in(elsewhere / "e6") == shared_in(elsewhere / "e5"));
  CHECK(restores(manager, "e6", 9, 6));
}

TEST_CASE("Plain LibTorch sees stubs in checkpoint.pt, and a file that load and save make whole") {
  const TemporaryDirectory root;
  torch::manual_seed(1);
  test::Net net(2000);
  for (const auto& parameter : net->first->parameters()) parameter.set_requires_grad(false);
  torch::optim::SGD optimizer(net->second->parameters(), 0.1);
  State state;
  state.add("model", net);
  CheckpointManager manager(root.path(), options());
  manager.save(state, {1});
  test::train(net, optimizer, 1);
  manager.save(state, {2});
  REQUIRE(shared_in(root / "e2").size() == 1);

  const auto plain = [](const std::string& path) {
    torch::serialize::InputArchive archive, model, first;
    archive.load_from(path);
    archive.read("model", model);
    model.read("first", first);
    torch::Tensor weight;
    first.read("weight", weight);
    return weight;
  };
  CHECK(plain(root / "e2/checkpoint.pt").sizes() == torch::IntArrayRef{0});
  save(load(root / "e2"), root / "whole.pt");
  CHECK(test::same_bits(plain(root / "whole.pt"), net->first->weight));
  // The shared file is the whole of an earlier checkpoint.
  CHECK(test::same_bits(plain(root / ("e2/" + shared_in(root / "e2")[0])), net->first->weight));

  test::Net weights(2000);
  load_state_dict(*weights, root / "e2", {}, "model");
  CHECK(test::same_bits(*weights, *net));
}

TEST_CASE("Nothing is linked unless this manager knows that it is right") {
  const TemporaryDirectory root;
  Parts parts;
  {
    CheckpointManager manager(root.path(), options());
    save(manager, parts);
  }
  CheckpointManager manager(root.path(), options());
  SECTION("a new manager, which has read nothing, writes all") {
    save(manager, parts);
    CHECK(is_whole(root / "e2"));
    save(manager, parts);
    CHECK_FALSE(is_whole(root / "e3"));
  }
  SECTION("a restore that checks digests makes a checkpoint known") {
    const Verify verify = GENERATE(Verify::kBefore, Verify::kWhileReading);
    REQUIRE(manager.restore_latest(parts.state, RestoreOptions().verify(verify)));
    save(manager, parts);
    CHECK(shared_in(root / "e2").size() == 1);
    CHECK(restores(manager, "e2", 9, 2));
  }
  SECTION("one that does not check them makes none known") {
    REQUIRE(manager.restore_latest(parts.state, RestoreOptions().verify(Verify::kNever)));
    save(manager, parts);
    CHECK(is_whole(root / "e2"));
  }
  SECTION("the restored one is gone") {
    REQUIRE(manager.restore_latest(parts.state));
    manager.save(parts.state, {7});
    fs::remove_all(root / "e1");
    fs::remove_all(root / "e7");
    save(manager, parts);
    CHECK(is_whole(root / "e2"));
  }
}

TEST_CASE("A file that was changed, replaced or removed is not linked") {
  const TemporaryDirectory root;
  Parts parts;
  CheckpointManager manager(root.path(), options());
  save(manager, parts);
  const std::string file = root / "e1/checkpoint.pt";
  SECTION("written to") { test::flip_bit(file, 100000); }
  SECTION("replaced") {
    fs::copy_file(file, root / "copy");
    fs::rename(root / "copy", file);
  }
  SECTION("a symbolic link") {
    fs::rename(file, root / "moved");
    fs::create_symlink(root / "moved", file);
  }
  SECTION("removed") { fs::remove_all(root / "e1"); }
  const Log log;
  save(manager, parts);
  CHECK(is_whole(root / "e2"));
  CHECK(contains(log.text(), "reuse_unchanged: checkpoint 'e2' is written whole"));
  save(manager, parts);
  CHECK(shared_in(root / "e3").size() == 1);
  CHECK(restores(manager, "e3", 9, 3));
}

TEST_CASE("Where a file system refuses to link, all is written, and the log says so once") {
  const int refusal = GENERATE(EPERM, EXDEV, EMLINK, EOPNOTSUPP);
  const TemporaryDirectory root;
  Counting counting;
  counting.refusal = refusal;
  Parts parts;
  CheckpointManager manager = ManagerAccess::open(counting, root.path(), options());
  const Log log;
  for (int i = 0; i < 4; ++i) save(manager, parts);
  for (const char* name : {"e1", "e2", "e3", "e4"}) CHECK(is_whole(root / name));
  const std::string text = log.text();
  CHECK(contains(text, "reuse_unchanged: checkpoint 'e2' is written whole"));
  CHECK_FALSE(contains(text, "'e3'"));
  counting.refusal = 0;
  save(manager, parts);
  CHECK(shared_in(root / "e5").size() == 1);
}

TEST_CASE("Damage in a shared file is found, named, and not built upon") {
  const TemporaryDirectory root;
  Parts parts;
  {
    CheckpointManager manager(root.path(), options());
    save(manager, parts);
    parts.epoch = 10;
    manager.save(parts.state, {10});  // Shares with e1.
  }
  CheckpointManager manager(root.path(), options());
  parts.epoch = 1;
  save(manager, parts);  // Is whole, and knows nothing of the others.
  save(manager, parts);
  save(manager, parts);
  const std::string shared = "e4/" + shared_in(root / "e4").at(0);
  rot(root / shared, 100000);
  SECTION("by verify; the next save writes all anew") {
    const std::string error = error_of([&] { manager.verify("e3"); });
    CHECK(contains(error, "corrupt: digest mismatch"));
    CHECK(contains(error, shared_in(root / "e3").at(0)));
    save(manager, parts);
    CHECK(is_whole(root / "e5"));
    manager.verify("e5");
  }
  SECTION("by a restore; the next save writes all anew") {
    Parts live;
    CHECK(contains(error_of([&] { manager.restore(live.state, "e4"); }), shared));
    CHECK(live.is_at(0));
    save(manager, parts);
    CHECK(is_whole(root / "e5"));
  }
  SECTION("by restore_latest, which passes over all that share it") {
    Parts live;
    const auto restored = manager.restore_latest(live.state);
    REQUIRE(restored);
    CHECK(restored->name() == "e10");
    std::vector<std::string> skipped;
    for (const SkippedCheckpoint& one : restored->skipped) skipped.push_back(one.name);
    CHECK(skipped == std::vector<std::string>{"e4.corrupt", "e3.corrupt", "e2.corrupt"});
    CHECK(contains(restored->skipped[0].reason, shared));
    live.epoch = 10;
    save(manager, live);  // Built on e10, which was verified.
    CHECK(shared_in(root / "e11") == shared_in(root / "e10"));
    CHECK(restores(manager, "e11", 9, 1) == false);  // Its epoch is 11.
    manager.verify("e11");
  }
}

TEST_CASE("Damage that retention finds when it reads a checkpoint back is not built upon") {
  const TemporaryDirectory root;
  Parts parts;
  CheckpointManager manager(root.path(), options().keep_last(2));
  save(manager, parts);
  save(manager, parts);
  rot(root / "e1/checkpoint.pt", 100000);
  save(manager, parts);  // Shares the damage; is read back, and nothing is removed.
  CHECK(fs::exists(root / "e1"));
  save(manager, parts);
  CHECK(is_whole(root / "e4"));
  save(manager, parts);
  manager.verify("e5");
  CHECK(shared_in(root / "e5").size() == 1);
}

TEST_CASE("Tied tensors stay tied, and equal ones that are not tied stay apart") {
  const Format format = GENERATE(Format::kArchive, Format::kPth);
  const TemporaryDirectory root;
  torch::Tensor embedding = torch::arange(20000, torch::kFloat).reshape({100, 200});
  torch::Tensor output = embedding;
  torch::Tensor transposed = torch::arange(6000, torch::kFloat).reshape({20, 300}).t();
  torch::Tensor one = torch::zeros({3000}), other = torch::zeros({3000});
  torch::Tensor scalar = torch::tensor(2.5);
  torch::Tensor large = torch::randn({5000}), changing = torch::zeros({10});
  large.set_requires_grad(true);
  torch::Tensor integers = torch::arange(2000), half = torch::ones({2000}, torch::kHalf);
  const auto state_of = [&] {
    Dict tree{{"embedding", embedding},   {"output", output},
              {"transposed", transposed}, {"one", one},
              {"other", other},           {"scalar", scalar},
              {"large", large},           {"changing", changing},
              {"integers", integers},     {"half", half}};
    return tree;
  };
  CheckpointManager manager(root.path(), options().format(format));
  const auto save = [&](int64_t epoch) {
    Value tree = state_of();
    State state;
    state.add("tree", tree);
    changing += 1;
    manager.save(state, {epoch});
  };
  const auto loaded = [&](const std::string& name) {
    const Value tree = load(root / name);
    const Dict back = tree.dict().at("tree").dict();
    for (const auto& [key, value] : state_of()) {
      const torch::Tensor& tensor = back.at(key).to_tensor();
      CAPTURE(name, to_string(key));
      CHECK(test::same_bits(tensor, value.to_tensor()));
      CHECK(tensor.strides() == value.to_tensor().strides());
      CHECK(tensor.requires_grad() == value.to_tensor().requires_grad());
    }
    return back;
  };
  const auto tied = [](const Dict& dict, const char* left, const char* right) {
    return dict.at(left).to_tensor().data_ptr() == dict.at(right).to_tensor().data_ptr();
  };
  save(1);
  save(2);
  CHECK(shared_in(root / "e2").size() == 1);
  Dict back = loaded("e2");
  CHECK(tied(back, "embedding", "output"));
  CHECK_FALSE(tied(back, "one", "other"));

  // Ties that come and go.
  output = embedding.clone();
  other = one;
  save(3);
  back = loaded("e3");
  CHECK(shared_in(root / "e3").size() == 1);
  CHECK_FALSE(tied(back, "embedding", "output"));
  CHECK(tied(back, "one", "other"));
  // Another layout of the same elements has other bytes.
  transposed = transposed.contiguous();
  save(4);
  loaded("e4");
  Value live = Dict{};
  State state;
  state.add("tree", live);
  manager.restore(state, "e4");
  for (const auto& [key, value] : state_of()) {
    CHECK(test::same_bits(live.dict().at(key).to_tensor(), value.to_tensor()));
  }
}

TEST_CASE("A tensor of the same bytes and another dtype, shape or key is written") {
  const TemporaryDirectory root;
  torch::Tensor kept = torch::randn({20000}), tensor = torch::zeros({2000});
  std::string key = "tensor";
  CheckpointManager manager(root.path(), options());
  const auto save = [&](int64_t epoch) {
    Value tree = Dict{{"kept", kept}, {key, tensor}};
    State state;
    state.add("tree", tree);
    manager.save(state, {epoch});
    const Value back = load(root / ("e" + std::to_string(epoch)));
    const torch::Tensor found = back.dict().at("tree").dict().at(key).to_tensor();
    CHECK(found.scalar_type() == tensor.scalar_type());
    CHECK(test::same_bits(found, tensor));
  };
  save(1);
  SECTION("dtype") { tensor = torch::zeros({2000}, torch::kInt); }
  SECTION("shape") { tensor = torch::zeros({1000, 2}); }
  SECTION("key") { key = "other"; }
  save(2);
  CHECK(shared_in(root / "e2").size() == 1);
  const Manifest manifest = read_manifest(root / "e2");
  CHECK(manifest.files[0].bytes > 8000);
}

TEST_CASE("What has settled goes into a file of its own, once") {
  const TemporaryDirectory root;
  const Format format = GENERATE(Format::kArchive, Format::kPth);
  Counting counting;
  Parts parts(4);
  CheckpointManager manager = ManagerAccess::open(counting, root.path(), options().format(format));
  std::vector<double> written;
  for (int i = 0; i < 5; ++i) {
    save(manager, parts);
    written.push_back(static_cast<double>(counting.take()));
  }
  CHECK(written[1] > 0.99 * written[0]);  // Of e1, 40 % are needed: too little to keep it.
  CHECK(written[1] < 1.01 * written[0]);
  for (const size_t later : {2, 3, 4}) CHECK(written[later] < 0.62 * written[0]);
  CHECK(shared_in(root / "e2").size() == 1);
  CHECK(shared_in(root / "e5") == shared_in(root / "e2"));
  const Manifest second = read_manifest(root / "e2");
  CHECK(second.bytes_written == second.total_bytes());
  CHECK(second.format_version == 3);
  // A copy is no larger than a whole checkpoint.
  const uint64_t whole = read_manifest(root / "e1").total_bytes();
  CHECK(static_cast<double>(read_manifest(root / "e5").total_bytes()) <
        1.01 * static_cast<double>(whole));
  for (int64_t epoch = 1; epoch <= 5; ++epoch) {
    CHECK(restores(manager, "e" + std::to_string(epoch), 4, epoch));
  }
}

TEST_CASE("No checkpoint needs many files, nor much more room than a whole one") {
  const TemporaryDirectory root;
  std::vector<torch::Tensor> parts(40);
  State state;
  state.rng(false);
  for (size_t i = 0; i < parts.size(); ++i) {
    parts[i] = torch::full({2000}, static_cast<int64_t>(i));
    state.add("part" + std::to_string(i), parts[i]);
  }
  CheckpointManager manager(root.path(), options().keep_last(2));
  std::minstd_rand random(7);
  uint64_t whole = 0, written = 0;
  constexpr int64_t kSaves = 60;
  for (int64_t epoch = 1; epoch <= kSaves; ++epoch) {
    manager.save(state, {epoch});
    const std::string name = "e" + std::to_string(epoch);
    const Manifest manifest = read_manifest(root / name);
    if (epoch == 1) whole = manifest.total_bytes();
    written += manifest.bytes_written;
    INFO(name);
    CHECK(shared_in(root / name).size() <= 9);
    CHECK(manifest.total_bytes() <= 2 * whole + whole / 4);
    const Value back = load(root / name);
    for (size_t i = 0; i < parts.size(); ++i) {
      REQUIRE(torch::equal(back.dict().at("part" + std::to_string(i)).to_tensor(), parts[i]));
    }
    for (int i = 0; i < 4; ++i) parts[random() % parts.size()] += 1000;
  }
  CHECK(written < whole * kSaves / 3);
}

TEST_CASE("An asynchronous save compares its snapshot, not the live tensors") {
  const TemporaryDirectory root;
  Parts parts;
  CheckpointManager manager(root.path(), options().async(true));
  save(manager, parts);
  manager.wait();
  parts.parts[0] += 50;
  save(manager, parts);
  parts.parts[0] -= 50;  // As at the first save again.
  parts.parts[1] += 50;  // As then, in the snapshot.
  manager.wait();
  parts.parts[1] -= 50;
  parts.parts[0] += 50;
  const Value back = load(root / "e2");
  for (size_t i = 0; i < parts.parts.size(); ++i) {
    CHECK(torch::equal(back.dict().at("part" + std::to_string(i)).to_tensor(), parts.parts[i]));
  }
  CHECK(shared_in(root / "e2").size() == 1);
}

TEST_CASE("Items of every kind come back from a checkpoint that shares a file") {
  const Format format = GENERATE(Format::kArchive, Format::kPth);
  constexpr bool kPlateau = TORCH_CHECKPOINT_HAS_PLATEAU;
  const TemporaryDirectory root;
  torch::Tensor frozen = torch::randn({100000});
  kinds::EveryKind expected(true);
  State state = expected.state(kPlateau);
  state.add("frozen", frozen).rng(false);
  const auto fingerprint_of = [](const State& of) {
    return test::fingerprint(state::capture(of, Progress()).tree);
  };
  CheckpointManager manager(root.path(), options().format(format));
  manager.save(state, {1});
  manager.save(state, {2});
  REQUIRE(shared_in(root / "e2").size() == 1);

  kinds::EveryKind live(false);
  torch::Tensor other = torch::zeros({100000});
  State restored = live.state(kPlateau);
  restored.add("frozen", other).rng(false);
  CheckpointManager(root.path(), options())
      .restore(restored, "e2", RestoreOptions().restore_modes(true));
  CHECK(fingerprint_of(restored) == fingerprint_of(state));
  CHECK(live.net->a->weight.is_same(live.net->b->weight));
}

TEST_CASE("The format may change from one save to the next, and a failed save changes nothing") {
  const TemporaryDirectory root;
  Parts parts;
  {
    CheckpointManager manager(root.path(), options());
    save(manager, parts);
  }
  Counting faulty;
  CheckpointManager manager =
      ManagerAccess::open(faulty, root.path(), options().format(Format::kPth));
  manager.restore_latest(parts.state);
  save(manager, parts);
  CHECK(names_in(root / "e2").size() == 5);
  CHECK(contains(shared_in(root / "e2").at(0), ".pt"));
  CHECK_FALSE(contains(shared_in(root / "e2").at(0), ".pth"));
  CHECK(restores(manager, "e2", 9, 2));

  faulty.fails_commit = true;
  CHECK(contains(error_of([&] { save(manager, parts); }), "io: "));
  faulty.fails_commit = false;
  CHECK(names_in(root.path()) ==
        std::vector<std::string>{".lock", "e1", "e2", "history.jsonl", "latest"});
  save(manager, parts);
  CHECK(shared_in(root / "e4") == shared_in(root / "e2"));
  CHECK(restores(manager, "e4", 9, 4));
}

TEST_CASE("Without the option a checkpoint has version 1, and several ranks are refused") {
  const TemporaryDirectory root;
  Parts parts;
  CheckpointManager manager(root.path(), CheckpointManagerOptions().name("e{epoch}"));
  save(manager, parts);
  save(manager, parts);
  CHECK(is_whole(root / "e2"));
  CHECK_FALSE(contains(test::read_file(root / "e2/manifest.json"), "bytes_written"));
  struct Two final : Coordinator {
    int rank() const override { return 0; }
    int size() const override { return 2; }
    void put(const std::string&, const std::string&) override {}
    std::optional<std::string> try_get(const std::string&) override { return std::nullopt; }
    void erase(const std::string&) override {}
  };
  CHECK(contains(error_of([&] {
                   CheckpointManager(root / "ranks",
                                     options().coordinator(std::make_shared<Two>()));
                 }),
                 "unsupported: CheckpointManagerOptions: reuse_unchanged"));
}
