#include "support/catch.h"
#include "support/error_of.h"
#include "support/models.h"
#include "support/run_command.h"
#include "support/temporary_directory.h"

#include <checkpoint/checkpoint.h>

#include <nlohmann/json.hpp>

#include <filesystem>

using namespace checkpoint;
namespace fs = std::filesystem;

namespace {

using Result = test::CommandResult;

Result run(const std::string& arguments) { return test::run_command(arguments); }

struct Run {
  Run() {
    test::Net net;
    torch::optim::Adam optimizer(net->parameters(), torch::optim::AdamOptions(0.01));
    test::train(net, optimizer, 1);
    State state;
    state.add("model", net).add("optimizer", optimizer);
    CheckpointManager manager(root / "run", CheckpointManagerOptions().name("e{epoch}"));
    manager.save(state, {0, 10, 0.5});
    manager.save(state, {1, 20, std::nan(""), {{"acc", 0.75}}});
  }
  std::string operator()(const std::string& name) const { return root / ("run" + name); }
  test::TemporaryDirectory root;
};

// Standard output alone, which `--json` promises to be JSON.
nlohmann::json json_of(const std::string& arguments) {
  // The comment takes away what would put both streams together.
  return nlohmann::json::parse(run(arguments + " 2>/dev/null #").output);
}

// What a report's page holds.
nlohmann::json data_in(const std::string& page) {
  const std::string text = test::read_file(page), begin = "type=\"application/json\">";
  const size_t first = text.find(begin) + begin.size();
  return nlohmann::json::parse(text.substr(first, text.find("</script>", first) - first));
}

}  // namespace

TEST_CASE("list shows the checkpoints, in a table and as JSON") {
  const Run at;
  const Result table = run("list " + at(""));
  CHECK(table.status == 0);
  CHECK(contains(table.output, "NAME"));
  CHECK(contains(table.output, "acc=0.75"));
  CHECK(table.output.find("e0") < table.output.find("e1"));
  const Result json = run("list --json " + at(""));
  CHECK(json.status == 0);
  const auto document = nlohmann::json::parse(json.output);
  REQUIRE(document["checkpoints"].size() == 2);
  CHECK(document["checkpoints"][1]["name"] == "e1");
  CHECK(document["checkpoints"][1]["damage"].is_null());
  CHECK(document["checkpoints"][1]["progress"]["loss"] == "nan");
  CHECK(document["checkpoints"][1]["progress"]["metrics"]["acc"] == 0.75);
}

TEST_CASE("list says by which rules of the run each checkpoint is there") {
  const test::TemporaryDirectory root;
  int64_t number = 0;
  State state;
  state.add("number", number).rng(false);
  {
    CheckpointManager manager(root / "run", CheckpointManagerOptions()
                                                .name("e{epoch}")
                                                .keep_last(1)
                                                .keep_best(1, "loss", Mode::kMin)
                                                .keep_if([](const Manifest& manifest) {
                                                  return manifest.progress.epoch == 1;
                                                }));
    for (const double loss : {0.5, 0.75, 0.9}) manager.save(state, {number++, 0, loss});
  }
  const std::string path = root / "run";
  const Result table = run("list " + path);
  CHECK(contains(table.output, "KEPT BY"));
  CHECK(contains(table.output, "ok     keep_best(1, loss, min): rank 1\n"));
  CHECK(contains(table.output, "ok     newest, keep_last(1)\n"));
  CHECK(contains(table.output, "ok     -\n"));  // A program's function cannot be asked.
  const auto entries = nlohmann::json::parse(run("list --json " + path).output)["checkpoints"];
  CHECK(entries[0]["reasons"] == nlohmann::json{"keep_best(1, loss, min): rank 1"});
  CHECK(entries[1]["reasons"].empty());
  CHECK(entries[2]["keep"]["last"] == 1);
  // Rules that are given count instead.
  CHECK(contains(run("list --keep-last 2 " + path).output, "nothing: would be removed"));
  // Retention does not remove a checkpoint that has a foreign file either.
  test::write_file(root / "run/e1/notes.txt", "mine");
  CHECK(contains(run("list " + path).output,
                 "ok     it has files that this library did not write\n"));
}

TEST_CASE("show prints what a checkpoint holds") {
  const Run at;
  const Result text = run("show " + at("/latest"));
  CHECK(text.status == 0);
  CHECK(contains(text.output, "Adam"));
  CHECK(contains(text.output, "model.conv.weight"));
  CHECK(contains(text.output, "[3, 1, 3, 3]"));
  const auto document = nlohmann::json::parse(run("show --json " + at("/e0")).output);
  CHECK(document["items"][1]["type"] == "Adam");
  CHECK(document["tensors"][0]["dtype"] == "float32");
}

TEST_CASE("verify finds damage and says so by its exit status") {
  const Run at;
  CHECK(run("verify " + at("")).status == 0);
  CHECK(run("verify " + at("/e0 ") + at("/e1")).status == 0);
  test::flip_bit(at("/e0/checkpoint.pt"), 700);
  const Result damaged = run("verify " + at(""));
  CHECK(damaged.status == 1);
  CHECK(contains(damaged.output, "DAMAGED"));
  CHECK(contains(damaged.output, "e0/checkpoint.pt"));
  CHECK(contains(damaged.output, "ok "));
  const Result json = run("verify --json " + at(""));
  CHECK(json.status == 1);
  const auto document = nlohmann::json::parse(json.output);
  CHECK(document["checkpoints"][0]["whole"] == false);
  CHECK(document["checkpoints"][1]["whole"] == true);
  CHECK(document["checkpoints"][1]["error"].is_null());
  fs::remove(at("/e0/checkpoint.pt"));
  CHECK(run("verify " + at("/e0")).status == 1);
  // list sees the manifests alone.
  CHECK(run("list " + at("")).status == 0);
  test::flip_bit(at("/e1/manifest.json"), 30);
  const Result list = run("list " + at(""));
  CHECK(list.status == 1);
  CHECK(contains(list.output, "damaged: "));
  CHECK(run("show " + at("/e1")).status == 1);
}

TEST_CASE("verify shows its progress on a terminal") {
  const Run at;
  const auto result = test::run_command_on_terminal("verify " + at(""));
  if (!result) {
    WARN("skipped: the system has no terminal to give");
    return;
  }
  const std::string& output = result->output;
  CHECK(contains(output, "\r  0% [........................] 0 B of "));
  CHECK(contains(output, "\r 50% [############............] "));
  CHECK(contains(output, "/s, 0:00 left"));
  CHECK(contains(output, "\r\x1b[Kok "));  // Cleared before anything else is printed.
  CHECK(output.rfind("left") < output.rfind("ok "));
}

TEST_CASE("verify shows no progress in a pipe") {
  const Run at;
  const Result result = run("verify " + at(""));
  CHECK(contains(result.output, "ok "));
  CHECK(result.output.find('\r') == std::string::npos);
  CHECK(result.output.find('%') == std::string::npos);
}

TEST_CASE("Wrong usage and missing paths have their own exit status") {
  const Run at;
  CHECK(run("").status == 2);
  CHECK(run("nonsense").status == 2);
  CHECK(run("list").status == 2);
  CHECK(run("list --colour " + at("")).status == 2);
  CHECK(run("list " + at("/nowhere")).status == 2);
  CHECK(run("show " + at("/nowhere")).status == 2);
  CHECK(run("verify " + at("/nowhere")).status == 2);
  CHECK(run("verify " + at.root.path()).status == 2);
  CHECK(run("--help").status == 0);
  CHECK(contains(run("--version").output, TORCH_CHECKPOINT_VERSION));
}

TEST_CASE("An empty directory lists as empty") {
  const test::TemporaryDirectory root;
  CHECK(run("list " + root.path()).status == 0);
  CHECK(nlohmann::json::parse(run("list --json " + root.path()).output)["checkpoints"].empty());
}

TEST_CASE("The command does not load LibTorch") {
  const std::string libraries = [] {
    FILE* pipe = ::popen((std::string("ldd '") + TORCH_CHECKPOINT_COMMAND + "'").c_str(), "r");
    std::string output;
    char buffer[4096];
    while (const size_t got = std::fread(buffer, 1, sizeof buffer, pipe))
      output.append(buffer, got);
    ::pclose(pipe);
    return output;
  }();
  CHECK(contains(libraries, "libstdc++"));
  CHECK_FALSE(contains(libraries, "libtorch"));
}

TEST_CASE("pin and unpin are seen by list, and hold against prune") {
  const Run at;
  CHECK(run("pin " + at(" e0")).status == 0);
  CHECK(fs::is_empty(at("/.pins/e0")));
  CHECK(contains(run("list " + at("")).output, "ok, pinned"));
  auto document = nlohmann::json::parse(run("list --json " + at("")).output);
  CHECK(document["checkpoints"][0]["pinned"] == true);
  CHECK(document["checkpoints"][1]["pinned"] == false);
  CHECK(document["pins_without_checkpoint"].empty());
  CHECK(run("prune --keep-last 1 " + at("")).status == 0);
  CHECK(fs::exists(at("/e0")));
  CHECK(run("unpin " + at(" e0")).status == 0);
  CHECK(run("unpin " + at(" e0")).status == 2);
  CHECK(run("pin " + at(" nowhere")).status == 2);
  CHECK(run("pin " + at(" ../run")).status == 2);
  CHECK(run("pin " + at("")).status == 2);
  test::write_file(at("/.pins/gone"), "");
  CHECK(contains(run("list " + at("")).output, "pinned but missing: gone"));
  CHECK(run("unpin " + at(" gone")).status == 0);
}

TEST_CASE("remove takes checkpoints away by name, and the links follow") {
  const Run at;
  CHECK(fs::read_symlink(at("/latest")) == "e1");
  const Result removed = run("remove " + at(" e1"));
  CHECK(removed.status == 0);
  CHECK(removed.output == "removed e1\n");
  CHECK_FALSE(fs::exists(at("/e1")));
  CHECK(fs::read_symlink(at("/latest")) == "e0");
  CHECK(run("remove " + at(" nowhere")).status == 2);
  CHECK(run("remove " + at(" ../run")).status == 2);
  CHECK(run("remove " + at(" .pins")).status == 2);
  CHECK(run("remove " + at("")).status == 2);
  CHECK(run("pin " + at(" e0")).status == 0);
  const Result pinned = run("remove " + at(" e0"));
  CHECK(pinned.status == 2);
  CHECK(contains(pinned.output, "pinned"));
  CHECK(fs::exists(at("/e0")));
  CHECK(run("unpin " + at(" e0")).status == 0);
  {
    CheckpointManager writer(at(""));
    double value = 0;
    State state;
    state.add("value", value);
    writer.save(state, {9});
    CHECK(contains(run("remove " + at(" e0")).output, "another CheckpointManager writes"));
  }
  CHECK(nlohmann::json::parse(run("remove --json " + at(" e0")).output)["removed"][0] == "e0");
}

TEST_CASE("prune says what would go and why, then does it") {
  const Run at;
  const std::string rules = "--keep-best 1 acc max --keep-best 0 loss min --keep-every-hours 0 ";
  const Result plan = run("prune " + rules + "--dry-run " + at(""));
  CHECK(plan.status == 0);
  CHECK(contains(plan.output, "1 would go"));
  CHECK(contains(plan.output, "newest, keep_best(1, acc, max): rank 1"));
  CHECK(fs::exists(at("/e0")));
  const auto json = nlohmann::json::parse(run("prune --json --dry-run " + rules + at("")).output);
  CHECK(json["dry_run"] == true);
  CHECK(json["removed"] == nlohmann::json{"e0"});
  CHECK(json["removed_bytes"] > 0);
  CHECK(json["kept"][0]["reasons"][0] == "newest");
  const Result list = run("list " + rules + at(""));
  CHECK(contains(list.output, "nothing: would be removed"));
  CHECK(contains(list.output, "ok, no acc"));
  CHECK(contains(list.output, "ok, no loss"));

  CHECK(run("prune " + at("")).status == 2);
  CHECK(run("prune --keep-last -1 " + at("")).status == 2);
  CHECK(contains(run("list --keep-last -1 " + at("")).output,
                 "expected a number of at least 0, not '-1'"));
  CHECK(run("prune --keep-best 1 acc high " + at("")).status == 2);
  CHECK(run("list --keep-best 1 acc high " + at("")).status == 2);
  CHECK(run("prune --keep-last 1 " + at("/nowhere")).status == 2);
  {
    CheckpointManager writer(at(""));
    int64_t number = 0;
    State state;
    state.add("number", number).rng(false);
    writer.save(state, {2, 30, 0.1});
    const Result locked = run("prune --keep-last 1 " + at(""));
    CHECK(locked.status == 2);
    CHECK(contains(locked.output, "another CheckpointManager"));
    CHECK(run("prune --keep-last 1 --dry-run " + at("")).status == 0);
  }
  CHECK(contains(run("prune --keep-last 1 " + at("")).output, "2 removed"));
  CHECK_FALSE(fs::exists(at("/e0")));
  CHECK_FALSE(fs::exists(at("/e1")));
}

TEST_CASE("prune refuses a metric that no checkpoint has, and names those that there are") {
  const Run at;
  for (const char* more : {"", "--dry-run ", "--json ", "--keep-last 1 "}) {
    CAPTURE(more);
    const Result result = run(std::string("prune --keep-best 1 acuracy max ") + more + at(""));
    CHECK(result.status == 2);
    CHECK(contains(result.output, "no checkpoint has the metric 'acuracy'"));
    CHECK(contains(result.output, "Use one of: acc, loss."));
  }
  CHECK(fs::exists(at("/e0")));
  // list changes nothing, so it only says what that rule does.
  const Result list = run("list --keep-best 1 acuracy max " + at(""));
  CHECK(list.status == 0);
  CHECK(contains(list.output, "no checkpoint has that metric"));
  CHECK(run("prune --keep-best 1 acc max " + at("")).status == 0);
  CHECK_FALSE(fs::exists(at("/e0")));
  // Only the one whose loss is NaN is left.
  CHECK(contains(run("prune --keep-best 1 loss min " + at("")).output, "Use one of: acc."));
}

TEST_CASE("prune removes nothing if what stays cannot be read back, and says so") {
  const Run at;
  test::flip_bit(at("/e1/checkpoint.pt"), 700);
  const Result result = run("prune --keep-last 1 " + at(""));
  CHECK(result.status == 1);
  CHECK(contains(result.output, "cannot be read back"));
  CHECK(fs::exists(at("/e0")));
}

TEST_CASE("Output that could not be written whole is not a success") {
  const Run at;
  for (const std::string& arguments :
       {"list " + at(""), "show --json " + at("/e0"), "verify " + at(""), std::string("--help"),
        "diff --all " + at("/e0 ") + at("/e0")}) {
    CAPTURE(arguments);
    const std::string to_full_disk =
        std::string("'") + TORCH_CHECKPOINT_COMMAND + "' " + arguments + " 2>&1 >/dev/full";
    FILE* pipe = ::popen(to_full_disk.c_str(), "r");
    char buffer[4096];
    const std::string errors(buffer, std::fread(buffer, 1, sizeof buffer, pipe));
    CHECK(WEXITSTATUS(::pclose(pipe)) == 2);
    CHECK(contains(errors, "could not write all of the output"));
  }
}

TEST_CASE("Control characters in names never reach a terminal") {
  const Run at;
  const std::string odd =
      "a\x1b[31mb\xc2\x9b"
      "1mc\xff";
  for (const std::string& arguments :
       {"list '" + at("/" + odd) + "'", "list --" + odd, odd, "diff '" + odd + "' x",
        "pin " + at("") + " '" + odd + "'"}) {
    const Result result = run(arguments);
    CAPTURE(arguments, result.output);
    CHECK(result.status == 2);
    CHECK(result.output.find('\x1b') == std::string::npos);
    CHECK(result.output.find('\x9b') == std::string::npos);
    CHECK(result.output.find('\xff') == std::string::npos);
  }
  // Nor by the log: retention names a checkpoint that it cannot read back.
  test::flip_bit(at("/e1/checkpoint.pt"), 700);
  fs::rename(at("/e1"), at("/e1\x1b[31m"));
  const Result logged = run("prune --keep-last 1 " + at(""));
  CHECK(contains(logged.output, "cannot be read back"));
  CHECK(contains(logged.output, "e1?[31m"));
  CHECK(logged.output.find('\x1b') == std::string::npos);
  // Letters stay what they are.
  CHECK(contains(run("list /nowhere/Größe-東京").output, "Größe-東京"));
}

TEST_CASE("A wrong path is an error that says what to name instead") {
  const Run at;
  CHECK(contains(run("bogus").output, "unknown command 'bogus'"));
  for (const char* command : {"list ", "report -o /dev/null ", "prune --keep-last 1 "}) {
    const Result result = run(command + at("/e0"));
    CHECK(result.status == 2);
    CHECK(contains(result.output, "this is a checkpoint"));
    CHECK(contains(result.output, "show"));
  }
  const Result file = run("show " + at("/e0/checkpoint.pt"));
  CHECK(file.status == 2);
  CHECK(contains(file.output, "its directory: '" + at("/e0") + "'"));
  const Result verified = run("verify " + at("/e0/checkpoint.pt"));
  CHECK(verified.status == 2);
  CHECK(contains(verified.output, "this is a file, not a checkpoint"));
  CHECK(contains(verified.output, "its directory: '" + at("/e0") + "'"));
  test::write_file(at("/weights.pth"), "weights");
  for (const char* command : {"show ", "verify "}) {
    const Result result = run(command + at("/weights.pth"));
    CHECK(result.status == 2);
    CHECK(contains(result.output, "this is a file, not a checkpoint"));
    CHECK(contains(result.output, "Use diff or convert to read files"));
  }
  for (const char* command :
       {"list DIR", "report -o /dev/null DIR", "prune --keep-last 1 DIR", "pin DIR e0"}) {
    const auto on = [&](const std::string& path) {
      std::string line = command;
      return run(line.replace(line.find("DIR"), 3, path));
    };
    const Result result = on(at("/weights.pth"));
    CHECK(result.status == 2);
    CHECK(contains(result.output, "this is a file, not a directory of checkpoints"));
    CHECK(contains(result.output, "Use diff or convert to read files"));
    CHECK(contains(on(at("/e0/checkpoint.pt")).output, "the checkpoint is in: '" + at("") + "'"));
  }
  const Result directory = run("show " + at(""));
  CHECK(directory.status == 2);
  CHECK(contains(directory.output, "not a checkpoint"));
  CHECK(contains(run("show " + at("/nowhere")).output, "no such checkpoint"));
  std::filesystem::create_symlink("gone", at("/dangling"));
  for (const char* command : {"show ", "list ", "verify ", "prune --keep-last 1 "}) {
    INFO(command);
    CHECK(contains(run(command + at("/dangling")).output, "this link leads nowhere (gone)"));
  }
  for (const char* hours : {"nan", "inf", "-1"}) {
    const std::string rule = std::string("prune --dry-run --keep-every-hours ") + hours + " ";
    CHECK(run(rule + at("")).status == 2);
  }
}

TEST_CASE("A checkpoint that lacks its manifest or table is damaged") {
  const Run at;
  fs::remove(at("/e0/tensors.json"));
  fs::remove(at("/e1/manifest.json"));
  for (const char* name : {"/e0", "/e1"}) {
    CHECK(run("show " + at(name)).status == 1);
    CHECK(run("verify " + at(name)).status == 1);
  }
}

TEST_CASE("verify reads the checkpoints that exist, although another path does not") {
  const Run at;
  const std::string all = at("/e0 ") + at("/nowhere ") + at("/e1");
  CHECK(run("verify " + all).status == 2);
  CHECK(run("verify --json " + all + " >/dev/null").status == 2);
  const auto checkpoints = json_of("verify --json " + all)["checkpoints"];
  REQUIRE(checkpoints.size() == 3);
  CHECK(checkpoints[0]["whole"] == true);
  CHECK(checkpoints[1]["whole"] == false);
  CHECK(contains(checkpoints[1]["error"], "no such checkpoint"));
  CHECK(checkpoints[2]["whole"] == true);
  test::flip_bit(at("/e1/checkpoint.pt"), 700);
  CHECK(run("verify " + all).status == 1);
}

TEST_CASE("diff and convert take paths that look like options after --") {
  const test::TemporaryDirectory root;
  Dict dict;
  dict.insert("x", torch::ones({2}));
  save(Value(dict), root / "-a.pth");
  const test::WorkingDirectory there(root.path());
  CHECK(run("diff -- -a.pth -a.pth").status == 0);
  CHECK(run("convert -- -a.pth -b.safetensors").status == 0);
  CHECK(run("diff --all -- -a.pth -b.safetensors").status == 0);
}

TEST_CASE("show --json has what list --json has of a checkpoint") {
  const Run at;
  run("pin " + at(" e0"));
  auto shown = json_of("show --json " + at("/e0"));
  CHECK(shown["pinned"] == true);
  CHECK(shown.count("reasons") == 0);  // The run has no rules.
  CHECK(json_of("show --json " + at("/latest"))["pinned"] == false);

  const test::TemporaryDirectory root;
  int64_t number = 0;
  State state;
  state.add("number", number).rng(false);
  CheckpointManager(root / "run", CheckpointManagerOptions().name("only").keep_last(1))
      .save(state, {0, 1});
  const auto listed = json_of("list --json " + (root / "run"))["checkpoints"][0];
  shown = json_of("show --json " + (root / "run/latest"));
  CHECK(shown["reasons"] == nlohmann::json{"newest", "keep_last(1)"});
  for (const auto& [field, value] : listed.items()) {
    if (field != "path" && field != "damage") CHECK(shown[field] == value);
  }
}

TEST_CASE("pin, unpin and report say in JSON what they have done") {
  const Run at;
  using Json = nlohmann::json;
  CHECK(json_of("pin --json " + at(" e0 e1")) == Json{{"pinned", {"e0", "e1"}}});
  const std::string unpin = "unpin --json " + at(" e1 e1");
  CHECK(json_of(unpin) == Json{{"unpinned", {"e1"}}, {"not_pinned", {"e1"}}});
  CHECK(run(unpin).status == 2);
  // What was done before a name failed is reported too.
  CHECK(json_of("pin --json " + at(" e1 nowhere e0")) == Json{{"pinned", {"e1"}}});
  CHECK(run("pin --json " + at(" e1 nowhere")).status == 2);
  const std::string page = at.root / "page.html";
  CHECK(json_of("report --json " + at(" -o ") + page) ==
        Json{{"output", page}, {"saves", 2}, {"damaged", Json::array()}});
}

TEST_CASE("report distinguishes saves of the same name") {
  const test::TemporaryDirectory root;
  int64_t number = 0;
  State state;
  state.add("number", number).rng(false);
  {
    CheckpointManager manager(root / "run", CheckpointManagerOptions().name("ckpt").keep_last(1));
    for (const double loss : {0.1, 0.5, 0.3}) manager.save(state, {number++, 0, loss});
  }
  const std::string page = root / "page.html";
  REQUIRE(run("report " + (root / "run") + " -o " + page).status == 0);
  const auto data = data_in(page);
  REQUIRE(data["points"].size() == 3);
  CHECK(data["latest_sequence"] == data["points"][2]["sequence"]);
  CHECK(data["best_sequence"] == data["points"][2]["sequence"]);
  CHECK(data["title"] == "run");
}

TEST_CASE("report takes its title from the directory, however it is named, and knows its metrics") {
  const Run at;
  const std::string page = at.root / "page.html";
  const test::WorkingDirectory there(at(""));
  for (const char* name : {".", "./", "../run", "../run/", "e0/.."}) {
    CAPTURE(name);
    REQUIRE(run(std::string("report ") + name + " -o " + page).status == 0);
    CHECK(data_in(page)["title"] == "run");
  }
  const Result unknown = run("report . --metric nope -o " + page);
  CHECK(unknown.status == 2);
  CHECK(contains(unknown.output, "'nope'"));
  CHECK(contains(unknown.output, "acc, loss"));
  REQUIRE(run("report . --metric acc --mode max -o " + page).status == 0);
  CHECK(data_in(page)["best_sequence"] == data_in(page)["latest_sequence"]);
}
