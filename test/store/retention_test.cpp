#include "support/catch.h"
#include "support/error_of.h"
#include "support/faulty_file_system.h"
#include "support/make_checkpoint.h"
#include "support/temporary_directory.h"

#include "store/directory/pins.h"
#include "store/directory/retire.h"
#include "store/directory/verify.h"
#include "store/directory/writer_hold.h"
#include "store/records/manifest.h"
#include "store/retention/retention.h"

#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

using namespace checkpoint;
using namespace checkpoint::store;
namespace fs = std::filesystem;

namespace {

using Names = std::vector<std::string>;

KeepRules last(int64_t n) {
  KeepRules rules;
  rules.last = n;
  return rules;
}

Names names(const Directory& directory) {
  Names result;
  for (const FoundCheckpoint& found : directory.scan()) result.push_back(found.name);
  return result;
}

struct Fixture {
  explicit Fixture(int count = 4) {
    for (int i = 0; i < count; ++i) {
      test::make_checkpoint(real, "c" + std::to_string(i), "content " + std::to_string(i));
    }
  }
  void change(const std::string& name, const std::function<void(Manifest&)>& change) const {
    Manifest manifest = read_manifest(posix_file_system(), real.path_of(name));
    change(manifest);
    test::write_file(root / (name + "/manifest.json"), encode_manifest(manifest));
  }

  test::TemporaryDirectory root;
  Directory real{posix_file_system(), root.path()};
};

}  // namespace

TEST_CASE("What the plan says is what is done") {
  Fixture at;
  pin(at.real, "c0");
  Retention retention(last(1), true);
  const Decision decision = retention.decide(at.real, "c1");
  CHECK(decision.report().removed == Names{"c2"});
  CHECK(names(at.real).size() == 4);
  CHECK(retention.apply(at.real, "c1").report().to_string() == decision.report().to_string());
  CHECK(names(at.real) == Names{"c0", "c1", "c3"});
}

TEST_CASE("A keep_best by a metric that no checkpoint has removes nothing, and is logged once") {
  Fixture at;
  std::ostringstream text;
  spdlog::register_logger(std::make_shared<spdlog::logger>(
      "torch_checkpoint", std::make_shared<spdlog::sinks::ostream_sink_mt>(text)));
  KeepRules rules = last(1);
  rules.best.push_back({1, "acuracy", Mode::kMax});
  Retention retention(rules, true);
  const Decision decision = retention.apply(at.real, "");
  retention.apply(at.real, "");
  spdlog::drop("torch_checkpoint");
  CHECK(decision.report().removed.empty());
  CHECK(decision.unranked_metrics == Names{"acuracy"});
  CHECK(names(at.real).size() == 4);
  const size_t first = text.str().find("has the metric 'acuracy'");
  REQUIRE(first != std::string::npos);
  CHECK(text.str().find("acuracy", first + 30) == std::string::npos);
  // Once there is one, the rule decides.
  at.change("c1", [](Manifest& manifest) { manifest.progress.metrics["acuracy"] = 0.5; });
  retention.apply(at.real, "");
  CHECK(names(at.real) == Names{"c1", "c3"});
}

TEST_CASE("Names in a manifest that lead outside lead nowhere") {
  Fixture at;
  const test::TemporaryDirectory elsewhere;
  test::make_checkpoint(Directory(posix_file_system(), elsewhere.path()), "theirs", "theirs");
  const std::string outside = "../" + fs::path(elsewhere.path()).filename().string() + "/theirs";
  at.change("c0", [&](Manifest& manifest) { manifest.name = outside; });
  at.change("c1", [&](Manifest& manifest) { manifest.name = elsewhere / "theirs"; });
  at.change("c2", [&](Manifest& manifest) { manifest.name = std::string(5000, 'x'); });
  at.change("c3", [&](Manifest& manifest) { manifest.parent = outside; });
  fs::create_directory_symlink(elsewhere / "theirs", at.root / "link");
  Retention(last(1), true).apply(at.real, outside);
  sweep(at.real);
  CHECK(names(at.real) == Names{"c3"});
  CHECK(test::names_in(at.root.path()) == Names{"c3", "link"});
  CHECK(test::read_file(elsewhere / "theirs/checkpoint.pt") == "theirs");
}

TEST_CASE("A file in a checkpoint that is a link is not followed, and its target not removed") {
  Fixture at(2);
  const test::TemporaryDirectory elsewhere;
  test::write_file(elsewhere / "precious", "content 0");
  fs::remove(at.root / "c0/checkpoint.pt");
  fs::create_symlink(elsewhere / "precious", at.root / "c0/checkpoint.pt");
  CHECK(
      contains(error_of([&] { verify_checkpoint(posix_file_system(), at.root / "c0"); }), "io: "));
  Retention(last(1), true).apply(at.real, "");
  CHECK(names(at.real) == Names{"c1"});
  CHECK(test::read_file(elsewhere / "precious") == "content 0");
}

TEST_CASE("A checkpoint whose name is too long to be moved out of sight stays, and says so") {
  Fixture at(1);
  const std::string name(250, 'n');
  fs::rename(at.root / "c0", at.root / name);
  test::make_checkpoint(at.real, "new", "new");
  const Decision decision = Retention(last(1), true).apply(at.real, "");
  CHECK(decision.report().removed.empty());
  CHECK(contains(decision.reasons[0].at(0), "too long"));
  pin(at.real, name);
  CHECK(is_pinned(at.real, name));
}

TEST_CASE("If the pins cannot be read, nothing is removed") {
  Fixture at;
  test::write_file(at.root / ".pins", "a file");
  Retention retention(last(1), true);
  CHECK(contains(error_of([&] { retention.apply(at.real, ""); }), "io: "));
  CHECK(names(at.real).size() == 4);
}

TEST_CASE("One that was read back is not read again while it stays") {
  Fixture at(2);
  test::FaultyFileSystem counting;
  const Directory directory(counting, at.root.path());
  Retention retention(last(2), true);
  const auto times_read_back = [&] {
    counting.fail(-1, 0);
    retention.apply(directory, "");
    const auto& calls = counting.calls();
    return std::count(calls.begin(), calls.end(), "drop_cache") / 3;
  };
  CHECK(times_read_back() == 0);  // Nothing goes.
  test::make_checkpoint(at.real, "c2", "content");
  CHECK(times_read_back() == 1);
  test::make_checkpoint(at.real, "c3", "content");
  CHECK(times_read_back() == 0);
  test::make_checkpoint(at.real, "c4", "content");
  CHECK(times_read_back() == 1);
}

TEST_CASE("Every failed call of retention leaves what must stay, whole, and nothing half removed") {
  const int error_number = GENERATE(EIO, EACCES, EMFILE);
  const bool stops_dead = GENERATE(false, true);
  int states = 0;
  for (int call = 0;; ++call, ++states) {
    Fixture at;
    pin(at.real, "c1");
    test::FaultyFileSystem faulty;
    const Directory directory(faulty, at.root.path());
    const auto kind = stops_dead ? test::Fault::Kind::kStop : test::Fault::Kind::kError;
    faulty.arm(call, {kind, error_number});
    try {
      Retention(last(1), true).apply(directory, "");
      sweep(directory);
    } catch (const Error&) {
    }
    const bool at_end = call >= static_cast<int>(faulty.calls().size());
    INFO("call " << call << ", " << (at_end ? "none" : faulty.calls()[call]));
    // A pinned one may be out of sight until the next writer comes.
    put_back_pinned(at.real);
    for (const FoundCheckpoint& found : at.real.scan()) {
      CHECK_FALSE(found.problem);
      verify_checkpoint(posix_file_system(), found.path);
    }
    CHECK(at.real.find("c1"));
    CHECK(at.real.find("c3"));
    Retention(last(1), true).apply(at.real, "");
    sweep(at.real);
    CHECK(test::names_in(at.root.path()) == Names{".pins", "c1", "c3"});
    if (at_end) break;
  }
  CHECK(states > 50);
}

TEST_CASE("Nothing is retired if the path leads to another directory, or the lock is gone") {
  const test::TemporaryDirectory root;
  const std::string run = root / "run", old = root / "old";
  fs::create_directory(run);
  Directory directory(posix_file_system(), run);
  for (const char* name : {"a", "b"}) test::make_checkpoint(directory, name, name);
  const WriterHold hold(posix_file_system(), run, TakeLock::kYes);
  directory.write_under(hold);
  SECTION("another directory") {
    fs::rename(run, old);
    fs::create_directory(run);
    const Directory theirs(posix_file_system(), run);
    for (const char* name : {"a", "b"}) test::make_checkpoint(theirs, name, name);
  }
  SECTION("no lock") { fs::remove(run + "/.lock"); }
  CHECK(contains(error_of([&] { Retention(last(1), true).apply(directory, ""); }), "locked: "));
  CHECK(names(directory) == Names{"a", "b"});
}

TEST_CASE("What is retired as the directory is replaced stays in its own, and is swept there") {
  const test::TemporaryDirectory root;
  const std::string run = root / "run", old = root / "old";
  fs::create_directory(run);
  Directory directory(posix_file_system(), run);
  for (const char* name : {"a", "b"}) test::make_checkpoint(directory, name, name);
  fs::rename(run + "/a", run + "/.retiring-a");  // As a writer that died has left it.
  {
    const WriterHold hold(posix_file_system(), run, TakeLock::kYes);
    directory.write_under(hold);
    fs::rename(run, old);
    fs::create_directory(run);
    const Directory theirs(posix_file_system(), run);
    test::make_checkpoint(theirs, "a", "theirs");
    fs::rename(run + "/a", run + "/.retiring-a");
    sweep(directory);
    CHECK(test::names_in(run) == Names{".retiring-a"});
    CHECK(test::names_in(old) == Names{".lock", ".retiring-a", "b"});
  }
  Directory found(posix_file_system(), old);
  const WriterHold hold(posix_file_system(), old, TakeLock::kYes);
  found.write_under(hold);
  sweep(found);
  CHECK(test::names_in(old) == Names{".lock", "b"});
}
