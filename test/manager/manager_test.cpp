#include "support/catch.h"
#include "support/error_of.h"
#include "support/number.h"
#include "support/temporary_directory.h"

#include <checkpoint/checkpoint.h>

#include <torch/torch.h>

#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <thread>

using namespace checkpoint;
using test::names;
using test::Number;
namespace fs = std::filesystem;

TEST_CASE("A loop saves every n epochs, and a second run goes on where it stopped") {
  const test::TemporaryDirectory root;
  const auto options = CheckpointManagerOptions().every_n_epochs(2).name("e{epoch}");
  Number number;
  {
    CheckpointManager manager(root / "new/parents/run", options);
    CHECK_FALSE(manager.restore_latest(number.state));
    for (int64_t epoch = 0; epoch < 5; ++epoch) {
      number.value = epoch * 10;
      const auto saved = manager.save_if_due(number.state, {epoch, epoch * 100, 0.5, {{"a", 1.5}}});
      CHECK(saved.has_value() == (epoch % 2 == 1));
    }
    CHECK(names(manager) == std::vector<std::string>{"e1", "e3"});
    CHECK(fs::read_symlink(root / "new/parents/run/latest") == "e3");
  }
  Number again(-1);
  CheckpointManager manager(root / "new/parents/run", options);
  const auto restored = manager.restore_latest(again.state);
  REQUIRE(restored);
  CHECK(again.value == 30);
  CHECK(restored->progress().next_epoch() == 4);
  CHECK(restored->progress().step == 300);
  CHECK(restored->progress().loss == 0.5);
  CHECK(restored->progress().metrics.at("a") == 1.5);
  CHECK(restored->name() == "e3");
  CHECK(restored->skipped.empty());
  // What was restored is not due again. The next save is due, and records its parent.
  CHECK_FALSE(manager.save_if_due(again.state, {3, 300}));
  CHECK(manager.save_if_due(again.state, {5, 500}) == std::string("e5"));
  CHECK(manager.latest()->manifest.parent == "e3");
  CHECK(manager.latest()->manifest.sequence == 3);
}

TEST_CASE("keep_last keeps the newest, by the order of saving") {
  const test::TemporaryDirectory root;
  Number number;
  CheckpointManager manager(root.path(), CheckpointManagerOptions().keep_last(2).name("e{epoch}"));
  for (const int64_t epoch : {7, 3, 9, 1}) manager.save(number.state, {epoch});
  CHECK(names(manager) == std::vector<std::string>{"e9", "e1"});
  CHECK(test::names_in(root.path()) ==
        std::vector<std::string>{".lock", "e1", "e9", "history.jsonl", "latest"});
}

TEST_CASE("All rules of an earlier run may be taken at once") {
  const test::TemporaryDirectory root;
  double value = 0;
  State state;
  state.add("value", value);
  {
    CheckpointManager manager(
        root.path(), CheckpointManagerOptions().keep_last(2).keep_best(1, "loss", Mode::kMin));
    manager.save(state, {0});
  }
  const KeepRules rules = CheckpointManager(root.path()).latest()->manifest.keep;
  CheckpointManager manager(root.path(), CheckpointManagerOptions().keep_last(5).keep(rules));
  CHECK(manager.options().keep().last == 2);
  REQUIRE(manager.options().keep().best.size() == 1);
  CHECK(manager.options().keep().best.front().metric == "loss");
  CHECK(state.names() == std::vector<std::string>{"value"});
}

TEST_CASE("The version as text, in numbers, and of the library at run time") {
  const std::string text = std::to_string(TORCH_CHECKPOINT_VERSION_MAJOR) + '.' +
                           std::to_string(TORCH_CHECKPOINT_VERSION_MINOR) + '.' +
                           std::to_string(TORCH_CHECKPOINT_VERSION_PATCH);
  CHECK(text == TORCH_CHECKPOINT_VERSION);
  CHECK(text == version());
  CHECK(TORCH_CHECKPOINT_AT_LEAST(0, 1, 0));
  CHECK_FALSE(TORCH_CHECKPOINT_AT_LEAST(0, TORCH_CHECKPOINT_VERSION_MINOR + 1, 0));
}

TEST_CASE("Equal names get a version; a rollback's newest save is the latest") {
  const test::TemporaryDirectory root;
  Number number;
  CheckpointManager manager(root.path(), CheckpointManagerOptions().name("e{epoch}"));
  CHECK(manager.save(number.state, {0}) == "e0");
  CHECK(manager.save(number.state, {1}) == "e1");
  manager.restore(number.state, "e0");
  number.value = 42;
  CHECK(manager.save(number.state, {1}) == "e1-v2");
  CHECK(manager.latest()->name == "e1-v2");
  CHECK(manager.latest()->manifest.parent == "e0");
  Number other;
  CheckpointManager(root.path()).restore(other.state, "e1-v2");
  CHECK(other.value == 42);
}

TEST_CASE("Foreign files and directories beside ours are left alone") {
  const test::TemporaryDirectory root;
  fs::create_directory(root / "events");
  test::write_file(root / "events/events.out.tfevents.1", "events");
  test::write_file(root / "train.log", "log");
  Number number;
  CheckpointManager manager(root.path(), CheckpointManagerOptions().keep_last(1).name("e{epoch}"));
  for (int64_t epoch = 0; epoch < 3; ++epoch) manager.save(number.state, {epoch});
  CHECK(names(manager) == std::vector<std::string>{"e2"});
  CHECK(test::read_file(root / "events/events.out.tfevents.1") == "events");
  CHECK(test::read_file(root / "train.log") == "log");
}

TEST_CASE("A directory of checkpoints can be moved, or copied without its hidden files") {
  const test::TemporaryDirectory root;
  Number number(5);
  CheckpointManager(root / "a").save(number.state, {0});
  fs::rename(root / "a", root / "b");
  Number moved;
  CHECK(CheckpointManager(root / "b").restore_latest(moved.state));
  CHECK(moved.value == 5);
  fs::remove(root / "b/epoch0000-step00000000/.torch-checkpoint");
  Number copied;
  CHECK(CheckpointManager(root / "b").restore_latest(copied.state));
  CHECK(copied.value == 5);
}

TEST_CASE("A second writer is locked out at once; readers are not") {
  const test::TemporaryDirectory root;
  Number number(3);
  CheckpointManager first(root.path(), CheckpointManagerOptions().name("e{epoch}"));
  first.save(number.state, {0});
  CheckpointManager second(root.path());
  CHECK(contains(error_of([&] { second.save(number.state, {1}); }), "locked: "));
  CHECK(contains(error_of([&] { second.restore_latest(number.state); }), "locked: "));
  Number reader;
  second.restore(reader.state, "e0");
  CHECK(reader.value == 3);
  CHECK(names(second) == std::vector<std::string>{"e0"});
  second.verify("e0");

  CheckpointManager unlocked(root.path(), CheckpointManagerOptions().lock(false).name("u"));
  CHECK(unlocked.save(number.state, {1}) == "u");
}

TEST_CASE("A forked child cannot write with its parent's manager") {
  const test::TemporaryDirectory root;
  Number number;
  CheckpointManager manager(root.path());
  manager.save(number.state, {0});
  const pid_t child = ::fork();
  if (child == 0) {
    const bool refused = contains(error_of([&] { manager.save(number.state, {1}); }), "locked: ");
    ::_exit(refused ? 0 : 1);
  }
  int status = 1;
  ::waitpid(child, &status, 0);
  CHECK(status == 0);
  manager.save(number.state, {2});
}

TEST_CASE("One manager may be used from several threads") {
  const test::TemporaryDirectory root;
  Number number;
  CheckpointManager manager(root.path(), CheckpointManagerOptions().keep_last(3));
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int64_t epoch = 0; epoch < 5; ++epoch) manager.save(number.state, {epoch});
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(manager.list().size() == 3);
  CHECK(manager.latest()->manifest.sequence == 20);
}

TEST_CASE("Options that can never work are refused when the manager is made") {
  CHECK_THROWS_AS(CheckpointManager("d", CheckpointManagerOptions().every_n_epochs(-1)), Error);
  CHECK_THROWS_AS(CheckpointManager("d", CheckpointManagerOptions().keep_last(-1)), Error);
  CHECK_THROWS_AS(CheckpointManager("d", CheckpointManagerOptions().name("{")), Error);
  for (const CheckpointManagerOptions& options :
       {CheckpointManagerOptions().keep_best(-1, "loss", Mode::kMin),
        CheckpointManagerOptions().keep_best(1, "", Mode::kMin),
        CheckpointManagerOptions().keep_every_n_epochs(-1),
        CheckpointManagerOptions().keep_every_n_steps(-1),
        CheckpointManagerOptions().keep_every(std::chrono::hours(-1)),
        CheckpointManagerOptions().every(std::chrono::seconds(-1)),
        CheckpointManagerOptions().every(CheckpointManagerOptions::Seconds(std::nan(""))),
        CheckpointManagerOptions().when({}), CheckpointManagerOptions().keep_if({})}) {
    CHECK(contains(error_of([&] { CheckpointManager("d", options); }), "invalid_argument: "));
  }
  CHECK_THROWS_AS(CheckpointManager(""), Error);
}

TEST_CASE("The end of a loop saves what is newer than the last checkpoint") {
  const test::TemporaryDirectory root;
  const bool async = GENERATE(false, true);
  const auto options = CheckpointManagerOptions().every_n_epochs(5).name("e{epoch}").async(async);
  Number number;
  {
    CheckpointManager manager(root.path(), options);
    CHECK_FALSE(manager.restore_latest(number.state));
    Progress progress;
    for (progress.epoch = 0; progress.epoch < 7; ++progress.epoch) {
      number.value = progress.epoch;
      manager.save_if_due(number.state, progress);
    }
    progress.epoch = 6;
    CHECK(manager.save_final(number.state, progress) == std::string("e6"));
    CHECK(manager.last_save().done());
    CHECK_FALSE(manager.save_final(number.state, progress));
    progress.metrics["accuracy"] = std::nan("");  // Measured after the end.
    CHECK(manager.save_final(number.state, progress) == std::string("e6-v2"));
    CHECK_FALSE(manager.save_final(number.state, progress));
    CHECK(names(manager) == std::vector<std::string>{"e4", "e6", "e6-v2"});
  }
  // Nothing is left to do: nothing is saved.
  number.value = 0;
  CheckpointManager manager(root.path(), options);
  const auto restored = manager.restore_latest(number.state);
  REQUIRE(restored);
  CHECK(number.value == 6);
  CHECK_FALSE(manager.save_final(number.state, restored->progress()));
  CHECK(contains(error_of([&] {
                   CheckpointManager(root.path(), CheckpointManagerOptions().read_only(true))
                       .save_final(number.state, {9});
                 }),
                 "invalid_argument: save_final: this manager is read-only"));
}

TEST_CASE("The end of a loop makes good what an asynchronous save has failed to save") {
  const test::TemporaryDirectory root;
  bool fails = true;
  CheckpointManager manager(root.path(), CheckpointManagerOptions()
                                             .every_n_epochs(1)
                                             .name("e{epoch}")
                                             .async(true)
                                             .on_transfer([&](const Transfer& transfer) {
                                               if (fails && transfer.phase == Phase::kWrite) {
                                                 throw std::runtime_error("no");
                                               }
                                             }));
  torch::Tensor tensor = torch::ones({10});
  State state;
  state.add("tensor", tensor).rng(false);
  CHECK_THROWS([&] {
    manager.save_if_due(state, {0});
    manager.wait();
  }());
  CHECK_THROWS(manager.save_final(state, {0}));
  fails = false;
  CHECK(manager.save_final(state, {0}) == std::string("e0"));
  CHECK_FALSE(manager.save_final(state, {0}));
  CHECK(names(manager) == std::vector<std::string>{"e0"});
}

TEST_CASE(
    "An item called as a keyword is refused by the format that cannot hold it, and no other") {
  const test::TemporaryDirectory root;
  for (const char* name : {"in", "class", "a\"b", "a\\b", "a\nb"}) {
    INFO(name);
    int64_t value = 7;
    State state;
    state.add(name, value).rng(false);
    CheckpointManager archive(root / "archive", CheckpointManagerOptions().async(true));
    CHECK_FALSE(archive.restore_latest(state));
    const std::string error = error_of([&] { archive.save(state, {0}); });
    CHECK(contains(error, "unsupported: "));
    CHECK(contains(error, "or choose Format::kPth"));
    CHECK(archive.list().empty());

    const auto options = CheckpointManagerOptions().format(Format::kPth).keep_last(1);
    CheckpointManager(root / "pth", options).save(state, {0});
    value = 0;
    CHECK(CheckpointManager(root / "pth", options).restore_latest(state));
    CHECK(value == 7);
    fs::remove_all(root / "pth");
  }
}

namespace {

struct Level : torch::nn::Module {
  explicit Level(std::shared_ptr<torch::nn::Module> inner) {
    register_module("0", std::move(inner));
  }
};

}  // namespace

TEST_CASE("Modules may be nested 90 levels deep; beyond 100 they are refused by name") {
  const test::TemporaryDirectory root;
  const Format format = GENERATE(Format::kArchive, Format::kPth);
  CheckpointManager manager(root.path(), CheckpointManagerOptions().format(format));
  const auto save = [&](int depth) {
    std::shared_ptr<torch::nn::Module> model = torch::nn::Linear(1, 1).ptr();
    for (; depth > 0; --depth) model = std::make_shared<Level>(model);
    State state;
    state.add("model", model);
    manager.save(state, {0});
  };
  save(90);
  const std::string error = error_of([&] { save(110); });
  CHECK(contains(error, "unsupported: 'model.0.0."));
  CHECK(contains(error, "is nested deeper than 100 levels. Make the tree"));
}

namespace {

// Throws something that is not an exception, if asked to.
struct Thrower {
  Value state_dict() const {
    if (in_state_dict) throw 42;
    return Value(value);
  }
  void load_state_dict(const Value& saved) {
    if (in_load) throw 42;
    value = saved.to_int();
  }
  bool in_state_dict = false, in_load = false;
  int64_t value = 7;
};

struct OwnFiles {
  void save(torch::serialize::OutputArchive& archive) const {
    if (in_save) throw "a text";
    archive.write("x", c10::IValue(int64_t{1}));
  }
  void load(torch::serialize::InputArchive&) {
    if (in_load) throw "a text";
  }
  bool in_save = false, in_load = false;
};

}  // namespace

TEST_CASE(
    "What a program throws that is not a std::exception becomes an Error, wherever it is thrown") {
  const test::TemporaryDirectory root;
  Thrower thrower;
  OwnFiles own;
  torch::nn::Linear linear(10, 10);
  State state;
  state.add("thrower", thrower).add("own", own).add("linear", linear).rng(false);
  const auto said = [](const std::string& error, const char* what, const char* type = "int") {
    CHECK(contains(error, what));
    CHECK(contains(error, std::string(" threw an object of type '") + type));
  };
  const auto manager = [&](const CheckpointManagerOptions& options) {
    return CheckpointManager(root.path(), options);
  };
  const auto on_transfer = [](Phase phase) {
    return [phase](const Transfer& transfer) {
      if (transfer.phase == phase) throw 42;
    };
  };
  CheckpointManager plain = manager({});
  plain.save(state, {0});
  SECTION("own save and load") {
    thrower.in_state_dict = true;
    said(error_of([&] { plain.save(state, {1}); }), "the state_dict() of 'thrower' failed: it");
    thrower.in_state_dict = false;
    own.in_save = true;
    said(error_of([&] { plain.save(state, {1}); }), "'own' cannot be saved: its own save",
         "char const*");
    own.in_save = false;
    own.in_load = true;
    thrower.value = 8;
    said(error_of([&] { plain.restore_latest(state); }), "'own' cannot be restored: its own load",
         "char const*");
    own.in_load = false;
    thrower.in_load = true;
    said(error_of([&] { plain.restore_latest(state); }), "'thrower' rejected the saved state");
    CHECK(thrower.value == 8);
  }
  SECTION("functions of a restore") {
    const auto restore = [&](const RestoreOptions& options) {
      return error_of([&] { plain.restore_latest(state, options); });
    };
    said(restore(RestoreOptions().rename([](const std::string&) -> std::string { throw 42; })),
         "the function given to rename");
    said(restore(RestoreOptions().map_location([](const std::string&, const c10::Device&)
                                                   -> std::optional<c10::Device> { throw 42; })),
         "the function given to map_location");
    said(restore(RestoreOptions().on_transfer(on_transfer(Phase::kVerify))),
         "the function given to on_transfer");
    said(restore(RestoreOptions().on_transfer(on_transfer(Phase::kRead))),
         "the function given to on_transfer");
  }
  SECTION("functions of a save, also of one in the background") {
    for (const bool async : {false, true}) {
      const auto error = error_of([&] {
        auto other = CheckpointManager(
            root / "other",
            CheckpointManagerOptions().async(async).on_transfer(on_transfer(Phase::kWrite)));
        other.save(state, {1});
        other.last_save().wait();
      });
      said(error, "the function given to on_transfer");
    }
    const auto when = CheckpointManagerOptions().when([](const Progress&) -> bool { throw 42; });
    said(error_of([&] { manager(when).save_if_due(state, {1}); }), "a function given to when");
  }
  SECTION("keep_if costs no checkpoint") {
    const auto keep =
        CheckpointManagerOptions().keep_last(1).keep_if([](const Manifest&) -> bool { throw 42; });
    CheckpointManager other(root / "other", keep);
    other.save(state, {1});
    other.save(state, {2});
    CHECK(CheckpointManager(root / "other").list().size() == 2);
    said(error_of([&] { other.prune(DryRun::kNo); }), "a function given to keep_if");
  }
}

TEST_CASE("Whatever a template makes of a name, the checkpoint is listed, restored and retired") {
  const double kNaN = std::nan("");
  for (const std::string& text : std::vector<std::string>{"x.corrupt",
                                                          "x.corrupt-2",
                                                          "x{acc}.corrupt-{epoch}",
                                                          ".corrupt",
                                                          ".hidden{epoch}",
                                                          "..",
                                                          ".",
                                                          "latest",
                                                          "best",
                                                          "history.jsonl",
                                                          "lost+found",
                                                          ".lock",
                                                          ".pins",
                                                          ".staging-0123456789abcdef",
                                                          ".retiring-x",
                                                          "manifest.json",
                                                          "tensors.json",
                                                          "checkpoint.pt",
                                                          ".torch-checkpoint",
                                                          "a/b/../c",
                                                          "/",
                                                          "-",
                                                          " ",
                                                          "\n",
                                                          "{loss}",
                                                          "{acc:c<9}",
                                                          "{epoch:c}",
                                                          "{none}",
                                                          "{a/b}",
                                                          std::string(1000, 'x'),
                                                          std::string(199, 'x') + ".corrupt",
                                                          std::string(192, 'x') + ".corrupt-9",
                                                          std::string(150, 'x') + "{loss:.300f}",
                                                          std::string("a\0b", 3)}) {
    INFO(text);
    const test::TemporaryDirectory root;
    Number number(1);
    const auto options = CheckpointManagerOptions().name(text).keep_last(1);
    {
      CheckpointManager manager(root.path(), options);
      manager.save(number.state, {1, 1, -INFINITY, {{"acc", kNaN}, {"a/b", 1e300}}});
      number.value = 2;
      const std::string name = manager.save(number.state, {1, 1, kNaN, {{"a/b", -0.0}}});
      CHECK(name.size() + std::string(".retiring--v1000000.corrupt-10").size() <= 255);
      CHECK(names(manager) == std::vector<std::string>{name});
      number.value = 0;
      manager.restore(number.state, name);
      CHECK(number.value == 2);
      manager.pin(name);
      CHECK(manager.unpin(name));
      manager.verify(name);
      number.value = 3;
      for (int i = 0; i < 2; ++i) manager.save(number.state, {1, 1, kNaN});
      // The checkpoint from which the run was resumed stays, as well as the newest.
      CHECK(manager.list().size() == 2);
    }
    number.value = 0;
    CHECK(CheckpointManager(root.path(), options).restore_latest(number.state));
    CHECK(number.value == 3);
  }
}

TEST_CASE("A checkpoint that was renamed in another encoding is restored, and saves go on") {
  const test::TemporaryDirectory root;
  Number number(5);
  CheckpointManager(root.path()).save(number.state, {0});
  const std::string latin1 = root /
                             "gr\xfc\xdf"
                             "e";
  fs::rename(root / "epoch0000-step00000000", latin1);
  number.value = 0;
  CheckpointManager manager(root.path());
  REQUIRE(manager.restore_latest(number.state));
  CHECK(number.value == 5);
  manager.save(number.state, {1});
  CHECK(manager.latest()->manifest.parent == "gr??e");
  CHECK(manager.list().size() == 2);
}

TEST_CASE("What no manifest can hold is refused before anything is written") {
  const test::TemporaryDirectory root;
  Number number;
  CHECK(contains(error_of([&] {
                   CheckpointManager(
                       root.path(), CheckpointManagerOptions().keep_best(1, "acc\xff", Mode::kMax));
                 }),
                 "invalid_argument: "));
  CheckpointManager manager(root.path(), CheckpointManagerOptions().async(true));
  CHECK(contains(error_of([&] {
                   manager.save(number.state, {0, 0, 0.5, {{"acc\xff", 1}}});
                 }),
                 "the name of a metric, 'acc?', is not valid UTF-8"));
  manager.save(number.state, {0});
  manager.wait();
  CHECK(manager.list().size() == 1);
}

TEST_CASE("Names that lead elsewhere, and ones that are not there, are errors") {
  const test::TemporaryDirectory root;
  Number number;
  CheckpointManager manager(root.path());
  CHECK(contains(error_of([&] { manager.restore(number.state, "../x"); }), "invalid_argument: "));
  CHECK(contains(error_of([&] { manager.verify(""); }), "invalid_argument: "));
  CHECK(contains(error_of([&] { manager.restore(number.state, "x"); }), "not_found: "));
  CHECK_FALSE(manager.latest());
}

TEST_CASE("A directory that cannot be written is an error before training begins") {
  if (::geteuid() == 0) {
    WARN("skipped: root may write anywhere");
    return;
  }
  const test::TemporaryDirectory root;
  fs::permissions(root.path(), fs::perms::owner_read | fs::perms::owner_exec);
  Number number;
  CHECK(contains(error_of([&] { CheckpointManager(root.path()).restore_latest(number.state); }),
                 "io: "));
  fs::permissions(root.path(), fs::perms::owner_all);
}

TEST_CASE("The library logs to the program's own logger, at levels that make sense") {
  const test::TemporaryDirectory root;
  std::ostringstream text;
  auto logger = std::make_shared<spdlog::logger>(
      "torch_checkpoint", std::make_shared<spdlog::sinks::ostream_sink_mt>(text));
  logger->set_level(spdlog::level::info);
  spdlog::register_logger(logger);
  Number number;
  CheckpointManager manager(root.path(), CheckpointManagerOptions().name("e{epoch}").keep_last(1));
  manager.save(number.state, {0});
  manager.save(number.state, {1});
  spdlog::drop("torch_checkpoint");
  CHECK(contains(text.str(), "[info] saved checkpoint '" + (root / "e1")));
  CHECK(contains(text.str(), "[info] removed checkpoint '" + (root / "e0")));
}

namespace {

// Two runs of which the first must not touch the second.
struct TwoRuns {
  // Checks that calls of the first manager are refused, and change neither run's files.
  void check_refused(CheckpointManager& first, const std::string& place) {
    const std::vector<std::string> before = test::names_in(place);
    for (const auto& call : std::vector<std::function<void()>>{
             [&] { first.save(mine.state, {99}); }, [&] { first.restore_latest(mine.state); },
             [&] { first.prune(DryRun::kNo); }}) {
      const std::string error = error_of(call);
      CHECK(contains(error, "locked: "));
      CHECK(contains(error, "Create a new CheckpointManager"));
      CHECK(contains(error, first.directory()));
    }
    CHECK(test::names_in(place) == before);
    CHECK(mine.value == 1);
  }
  static CheckpointManagerOptions options() {
    return CheckpointManagerOptions().keep_last(1).name("e{epoch}");
  }

  const test::TemporaryDirectory root;
  const std::string run = root / "run";
  Number mine{1}, theirs{2};
};

}  // namespace

TEST_CASE("A relative directory is the one that it was when the manager was made") {
  TwoRuns at;
  fs::create_directory(at.root / "a");
  fs::create_directory(at.root / "b");
  const test::WorkingDirectory there(at.root / "a");
  CheckpointManager first("run", at.options());
  CheckpointManager late("late", at.options());
  CHECK(first.directory() == (fs::current_path() / "run").string());
  first.save(at.mine.state, {50});
  CheckpointManager second(at.root / "b/run", at.options());
  second.save(at.theirs.state, {0});
  const test::WorkingDirectory elsewhere(at.root / "b");
  first.save(at.mine.state, {51});
  late.save(at.mine.state, {52});
  CHECK(names(first) == std::vector<std::string>{"e51"});
  CHECK(names(second) == std::vector<std::string>{"e0"});
  CHECK(fs::exists(at.root / "a/run/e51"));
  CHECK(fs::exists(at.root / "a/late/e52"));
  CHECK_FALSE(fs::exists(at.root / "b/late"));
}

TEST_CASE("A relative directory without a current one is an error") {
  TwoRuns at;
  fs::create_directory(at.root / "a");
  const test::WorkingDirectory there(at.root / "a");
  fs::remove(at.root / "a");
  CHECK(contains(error_of([] { CheckpointManager("run"); }), "cannot find the current directory"));
}

TEST_CASE("A run that stands where another one's directory stood is not touched by that one") {
  TwoRuns at;
  const bool locks = GENERATE(true, false);
  const bool async = GENERATE(true, false);
  CAPTURE(locks, async);
  CheckpointManager first(at.run, at.options().lock(locks).async(async));
  first.save(at.mine.state, {50});
  first.wait();
  fs::rename(at.run, at.run + ".old");
  CheckpointManager second(at.run, at.options());
  second.save(at.theirs.state, {0});
  at.check_refused(first, at.run);
  CHECK(names(second) == std::vector<std::string>{"e0"});
  CHECK(fs::exists(at.run + ".old/e50"));
  // The second is not blocked either.
  second.save(at.theirs.state, {1});
  CHECK(names(second) == std::vector<std::string>{"e1"});
}

TEST_CASE("A directory that was removed and remade, or moved away, takes no more saves") {
  TwoRuns at;
  CheckpointManager first(at.run, at.options());
  first.save(at.mine.state, {50});
  SECTION("removed and remade") {
    fs::remove_all(at.run);
    fs::create_directory(at.run);
    at.check_refused(first, at.run);
  }
  SECTION("moved away") {
    fs::rename(at.run, at.run + ".old");
    at.check_refused(first, at.run + ".old");
    CHECK_FALSE(fs::exists(at.run));
  }
  // A new manager starts over.
  CheckpointManager again(at.run, at.options());
  CHECK_FALSE(again.restore_latest(at.mine.state));
  CHECK(again.save(at.mine.state, {0}) == "e0");
}

TEST_CASE("A manager whose lock was removed leaves the directory to the next one") {
  TwoRuns at;
  CheckpointManager first(at.run, at.options());
  first.save(at.mine.state, {50});
  fs::remove(at.run + "/.lock");
  at.check_refused(first, at.run);
  CheckpointManager second(at.run, at.options());
  second.save(at.theirs.state, {51});
  at.check_refused(first, at.run);
  CHECK(names(second) == std::vector<std::string>{"e51"});
}
