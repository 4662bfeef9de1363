#include "ranks/ranks.h"
#include "support/catch.h"
#include "support/error_of.h"
#include "support/models.h"
#include "support/run_command.h"
#include "support/temporary_directory.h"

#include <checkpoint/checkpoint.h>

#include <torch/script.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <filesystem>
#include <limits>

using namespace checkpoint;
using nlohmann::json;
using test::run_command;

namespace {

Dict three_tensors() {
  Dict dict;
  dict.insert("same", torch::tensor({1.0, 2.0}));
  dict.insert("moved", torch::tensor({3.0, 4.0}));
  dict.insert("old", torch::tensor({1}));
  dict.insert("best", 0.5);
  return dict;
}

json entry_of(const json& document, const std::string& name) {
  for (const json& entry : document["entries"]) {
    if (entry["name"] == name) return entry;
  }
  return nullptr;
}

Dict one(const Key& key, Value value) {
  Dict dict;
  dict.insert(key, std::move(value));
  return dict;
}

// {"a.b": …} next to {"a": {"b": …}}.
Dict two_of_one_name() {
  Dict dict = one("a.b", torch::ones({2}));
  dict.insert("a", one("b", torch::zeros({3})));
  return dict;
}

// What Python's Adam gives.
Dict adam_state(double step, const torch::Tensor& average) {
  Dict entry = one("step", torch::tensor(step, torch::kFloat));
  entry.insert("exp_avg", average);
  Dict dict = one("state", one(int64_t{0}, entry));
  dict.insert("param_groups", Value::List{one("lr", 0.5)});
  return dict;
}

// A file of a few bytes that holds four elements, seen as many.
void save_expanded(const std::string& path, c10::IntArrayRef sizes) {
  torch::serialize::OutputArchive archive;
  archive.write("wide", torch::ones({1}).expand(sizes));
  archive.save_to(path);
}

}  // namespace

TEST_CASE("diff shows what was added, removed and changed, and by how much") {
  const test::TemporaryDirectory root;
  const std::string left = root / "left.pt", right = root / "right.pt";
  save(three_tensors(), left);
  Dict other;
  other.insert("same", torch::tensor({1.0, 2.0}));
  other.insert("moved", torch::tensor({3.0, 4.5}));
  other.insert("young", torch::tensor({1}));
  other.insert("best", 0.25);
  save(other, right);

  const auto result = run_command("diff --json " + left + " " + right);
  CHECK(result.status == 1);
  const json document = json::parse(result.output);
  CHECK(document["same"] == 1);
  CHECK(document["changed"] == 2);
  CHECK(document["added"] == 1);
  CHECK(document["removed"] == 1);
  CHECK(entry_of(document, "moved")["largest"] == 0.5);
  CHECK(std::abs(entry_of(document, "moved")["relative_l2"].get<double>() - 0.1) < 1e-12);
  CHECK(entry_of(document, "old")["what"] == "removed");
  CHECK(entry_of(document, "young")["what"] == "added");
  CHECK(entry_of(document, "best")["before"] == "0.5");
  CHECK(entry_of(document, "best")["after"] == "0.25");

  const auto table = run_command("diff " + left + " " + right);
  CHECK(contains(table.output, "1 same, 2 changed, 1 added, 1 removed"));
  CHECK(!contains(table.output, "same  "));
  CHECK(run_command("diff " + left + " " + left).status == 0);
  CHECK(run_command("diff " + left + " " + (root / "none")).status == 2);
  CHECK(run_command("diff " + left).status == 2);
}

TEST_CASE("diff measures NaN, infinities, half precision and tensors of several pieces") {
  const test::TemporaryDirectory root;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  const auto difference = [&](const torch::Tensor& a, const torch::Tensor& b) {
    Dict left, right;
    left.insert("x", a);
    right.insert("x", b);
    save(left, root / "a.pt");
    save(right, root / "b.pt");
    return entry_of(
        json::parse(run_command("diff --json " + (root / "a.pt") + " " + (root / "b.pt")).output),
        "x");
  };
  CHECK(difference(torch::tensor({nan, inf, 1.0}), torch::tensor({nan, inf, 2.0}))["largest"] ==
        1.0);
  CHECK(difference(torch::tensor({1.0, 1.0}), torch::tensor({nan, 1.0}))["largest"] == "nan");
  CHECK(difference(torch::tensor({1.0}), torch::tensor({inf}))["largest"] == "inf");
  CHECK(difference(torch::zeros({2}), torch::ones({2}))["relative_l2"] == "inf");
  CHECK(difference(torch::ones({2}, torch::kHalf), torch::full({2}, 3, torch::kHalf))["largest"] ==
        2.0);
  const int64_t most = std::numeric_limits<int64_t>::max();
  CHECK(difference(torch::tensor({most - 1}), torch::tensor({most}))["largest"] == 1.0);
  CHECK(difference(torch::tensor({-most - 1}), torch::tensor({most}))["largest"] == 0x1p64);
  torch::Tensor large = torch::zeros({3, 1 << 20});
  torch::Tensor changed = large.clone();
  changed[2][7] = 5;
  CHECK(difference(large, changed)["largest"] == 5.0);
  CHECK(difference(torch::ones({2}), torch::ones({3}))["what"] == "changed");
}

TEST_CASE("convert makes flat state_dicts for others and nested archives for LibTorch") {
  const test::TemporaryDirectory root;
  test::Net net;
  State state;
  state.add("model", net);
  CheckpointManager(root / "run", CheckpointManagerOptions().name("only")).save(state, {0, 1});

  REQUIRE(run_command("convert " + (root / "run/only") + " " + (root / "model.pt") +
                      " --item model --rename conv.=convolution.")
              .status == 0);
  // What plain LibTorch loads into a module.
  torch::serialize::InputArchive archive, nested;
  archive.load_from(root / "model.pt");
  CHECK(archive.try_read("convolution", nested));
  const StateDict weights = load_weights(root / "model.pt", torch::kCPU);
  CHECK(weights.find("conv.weight") == nullptr);
  // Submodules without tensors too, which its load asks for.
  REQUIRE(
      run_command("convert " + (root / "run/only") + " " + (root / "plain.pt") + " --item model")
          .status == 0);
  test::Net plain;
  torch::load(plain, root / "plain.pt");
  CHECK(test::same_bits(*plain, *net));
  REQUIRE(weights.find("convolution.weight") != nullptr);
  CHECK(test::same_bits(weights["convolution.weight"], net->conv->weight));
  CHECK(test::same_bits(weights["norm.running_var"], net->norm->running_var));

  // The same weights by the same names, whatever the format and the way.
  for (const char* extension : {"pth", "safetensors"}) {
    const std::string file = root / (std::string("model.") + extension);
    REQUIRE(run_command("convert " + (root / "run/only") + " " + file + " --item model").status ==
            0);
    const StateDict flat = load_weights(file, torch::kCPU);
    CHECK(test::same_bits(flat["conv.weight"], net->conv->weight));
    CHECK(flat.size() == weights.size());
    const std::string back = root / (std::string("back_") + extension + ".pt");
    REQUIRE(run_command("convert " + file + " " + back + " --rename conv.=convolution.").status ==
            0);
    CHECK(run_command("diff " + back + " " + (root / "model.pt")).status == 0);
  }

  REQUIRE(run_command("convert " + (root / "run/only") + " " + (root / "half.pt") +
                      " --item model --dtype float16")
              .status == 0);
  const StateDict half = load_weights(root / "half.pt", torch::kCPU);
  CHECK(half["conv.weight"].scalar_type() == torch::kHalf);
  CHECK(half["norm.num_batches_tracked"].scalar_type() == torch::kLong);

  const std::string from = root / "run/only";
  CHECK(run_command("convert " + from + " " + (root / "x.pt") + " --item nothing").status == 2);
  CHECK(run_command("convert " + from + " " + (root / "x.doc")).status == 2);
  CHECK(run_command("convert " + from + " " + (root / "x.pt") + " --rename torn").status == 2);
  const auto unmet = run_command("convert " + from + " " + (root / "x.pt") +
                                 " --item model --rename cnov.=x. --rename first.=one.");
  CHECK(unmet.status == 2);
  CHECK(contains(unmet.output, "cnov.=x. matches no name"));
  CHECK(contains(unmet.output, "'conv.weight'"));
  CHECK_FALSE(std::filesystem::exists(root / "x.pt"));
  CHECK(contains(run_command("convert " + from + " " + (root / "x.pt") + " --item modle").output,
                 "the nearest is 'model'"));
  const auto twice = run_command("convert " + from + " " + (root / "x.pt") +
                                 " --item model --rename first.=second.");
  CHECK(twice.status == 2);
  CHECK(contains(twice.output, "second.weight"));
}

TEST_CASE("diff compares values of every kind") {
  const test::TemporaryDirectory root;
  const std::string a = root / "a.pth", b = root / "b.pth";
  using Complex = c10::complex<double>;
  const std::vector<std::pair<Value, Value>> unequal = {
      {Complex(1, 2), Complex(1, 3)},
      {at::kFloat, at::kHalf},
      {c10::Device("cpu"), c10::Device("cuda:1")},
      {Size{{1, 2}}, Size{{3, 4}}},
      {Bytes{"ab"}, Bytes{"xy"}},
      {Bytes{std::string(40, 'a') + 'a'}, Bytes{std::string(40, 'a') + 'b'}},
      {BigInt{std::string(8, '\0') + '\xff'}, BigInt{std::string(8, '\0') + '\2'}},
      {Value::List{}, Dict()},
      {Value::List{}, Tuple()},
      {Value::List{1, 2}, Tuple{{1, 2}}},
      {one(int64_t{1}, "v"), one("1", "v")},
      {1, 1.0},
      {true, 1},
      {0.0, -0.0},
      {Value(), Value::List{}},
      {BigInt{std::string(100, '\1')}, BigInt{std::string(99, '\1') + '\2'}},
  };
  Value::List left, right;
  for (const auto& [before, after] : unequal) {
    left.push_back(before);
    right.push_back(after);
  }
  save(Value(one("x", left)), a);
  save(Value(one("x", right)), b);
  const auto result = run_command("diff --json " + a + " " + b);
  CHECK(result.status == 1);
  const json document = json::parse(result.output);
  for (size_t i = 0; i < unequal.size(); ++i) {
    CAPTURE(i, result.output);
    CHECK(entry_of(document, "x." + std::to_string(i))["what"] == "changed");
  }
  CHECK(entry_of(document, "x.0")["after"] == "(1.0, 3.0i)");
  CHECK(entry_of(document, "x.4")["before"] == "2 bytes 0x6162");
  CHECK(entry_of(document, "x.6")["before"] == "-0x10000000000000000");
  // Of hundreds of digits the first and the last ones.
  const std::string long_one = entry_of(document, "x.15")["after"];
  CHECK(long_one.substr(0, 8) == "0x201010");
  CHECK(long_one.size() < 100);
  CHECK(contains(long_one, "(199 digits)"));
  CHECK(entry_of(document, "x.7")["after"] == "empty dict");
  CHECK(entry_of(document, "x.9")["before"] == "list");
  for (const std::string& file : {a, b}) {
    CHECK(run_command("diff " + file + " " + file).status == 0);
  }

  save(Value(one("x", std::nan(""))), a);
  CHECK(run_command("diff " + a + " " + a).status == 0);
  save(Value(one("x", Value::List{})), a);
  save(Value(Dict()), b);
  CHECK(run_command("diff " + a + " " + b).status == 1);
}

TEST_CASE("Two values of one dotted name are both compared, and never converted to one") {
  const test::TemporaryDirectory root;
  const std::string clash = root / "clash.pth", other = root / "other.pth";
  save(Value(two_of_one_name()), clash);
  Dict changed = one("a.b", torch::ones({2}));
  changed.insert("a", one("b", torch::ones({3})));
  save(Value(changed), other);
  CHECK(run_command("diff " + clash + " " + clash).status == 0);
  const auto difference = run_command("diff --json " + clash + " " + other);
  CHECK(entry_of(json::parse(difference.output), "a.b (2)")["what"] == "changed");
  for (const char* extension : {"pt", "pth", "safetensors"}) {
    const std::string out = root / (std::string("out.") + extension);
    const auto result = run_command("convert " + clash + " " + out);
    CHECK(result.status == 2);
    CHECK(contains(result.output, clash + ": "));
    CHECK(contains(result.output, "'a.b'"));
    CHECK_FALSE(std::filesystem::exists(out));
  }
}

TEST_CASE("convert --dtype keeps an optimizer's counters, and what was shared") {
  const test::TemporaryDirectory root;
  const std::string in = root / "in.pth", out = root / "out.pth";
  const torch::Tensor weight = torch::ones({2, 3});
  Dict tree = one("optimizer", adam_state(70000, torch::ones({2})));
  tree.insert("model", one("first", weight));
  tree.insert("twin", weight);
  tree.insert("part", weight[1]);
  save(Value(tree), in);
  REQUIRE(run_command("convert --dtype float16 " + in + " " + out).status == 0);
  const Value half = load(out, torch::kCPU);
  const Dict& state = half.dict().at("optimizer").dict().at("state").dict().at(0).dict();
  CHECK(state.at("step").to_tensor().item<double>() == 70000);
  CHECK(state.at("exp_avg").to_tensor().scalar_type() == torch::kHalf);
  const torch::Tensor first = half.dict().at("model").dict().at("first").to_tensor();
  CHECK(test::same_bits(first, weight.to(torch::kHalf)));
  CHECK(half.dict().at("twin").to_tensor().data_ptr() == first.data_ptr());
  CHECK(half.dict().at("part").to_tensor().data_ptr() == first[1].data_ptr());
}

TEST_CASE("convert --dtype refuses what would become infinite, by name") {
  const test::TemporaryDirectory root;
  const std::string in = root / "in.pth", out = root / "out.pth";
  Dict model = one("fine", torch::tensor({std::numeric_limits<float>::infinity(), 1.0f}));
  model.insert("wide", torch::tensor({1.0f, 70000.0f}));
  save(Value(model), in);
  const auto result = run_command("convert --dtype float16 " + in + " " + out);
  CHECK(result.status == 2);
  CHECK(contains(result.output, "'wide' holds 70000"));
  CHECK_FALSE(std::filesystem::exists(out));
  CHECK(run_command("convert --dtype bfloat16 " + in + " " + out).status == 0);
}

TEST_CASE("convert keeps a safetensors file's metadata, or says that it does not") {
  const test::TemporaryDirectory root;
  const std::string in = root / "in.safetensors", out = root / "out.safetensors";
  save(Value(one("x", torch::ones({2}))), in, SaveOptions().metadata({{"author", "somebody"}}));
  const auto kept = run_command("convert " + in + " " + out);
  CHECK(kept.status == 0);
  CHECK_FALSE(contains(kept.output, "metadata"));
  CHECK(load_metadata(out).at("author") == "somebody");
  const auto lost = run_command("convert " + in + " " + (root / "out.pth"));
  CHECK(lost.status == 0);
  CHECK(contains(lost.output, "author"));
}

TEST_CASE("convert reads and writes models in several files") {
  const test::TemporaryDirectory root;
  const std::string one = root / "one.safetensors", out = root / "out";
  const std::string sharded = out + "/model.safetensors",
                    second = out + "/model-00002-of-00003.safetensors";
  StateDict dict;
  dict.insert("a", torch::arange(4, torch::kFloat));
  dict.insert("b", torch::arange(4, torch::kFloat) + 1);
  dict.insert("c", torch::ones({2}));
  checkpoint::save(dict, one, SaveOptions().metadata({{"note", "x"}}));
  REQUIRE(run_command("convert " + one + ' ' + sharded + " --max-shard-size 16B").status == 0);
  CHECK(std::filesystem::exists(second));
  for (const std::string& path : {out, sharded, sharded + ".index.json"}) {
    CHECK(run_command("diff " + one + ' ' + path).status == 0);
  }
  for (const std::string& path : {out, sharded + ".index.json"}) {
    const json shown = json::parse(run_command("show --json " + path).output);
    CHECK(shown["format"] == "sharded");
    CHECK(shown["tensors"].size() == 3);
    CHECK(contains(run_command("verify " + path).output, "ok       " + path));
  }
  std::filesystem::rename(second, root / "away");
  const auto damaged = run_command("verify " + out);
  CHECK(damaged.status == 1);
  CHECK(contains(damaged.output, "'model-00002-of-00003.safetensors' is missing"));
  CHECK(run_command("show " + out).status == 2);
  std::filesystem::rename(root / "away", second);
  const std::string again = root / "again.safetensors";
  REQUIRE(run_command("convert " + out + ' ' + again).status == 0);
  CHECK(load_metadata(again) ==
        std::map<std::string, std::string>{{"format", "pt"}, {"note", "x"}});
  CHECK(run_command("diff " + one + ' ' + again).status == 0);
  const std::string pth = root / "x.pth";
  CHECK(run_command("convert " + out + ' ' + pth + " --max-shard-size 1GB").status == 2);
  CHECK(run_command("convert " + out + ' ' + sharded + " --max-shard-size 0").status == 2);
}

TEST_CASE("Expanded tensors are compared as they are, and refused where they would not fit") {
  const test::TemporaryDirectory root;
  const std::string wide = root / "wide.pt", square = root / "square.pt";
  constexpr int64_t kMany = int64_t{1} << 40;
  save_expanded(wide, {kMany});
  CHECK(run_command("diff " + wide + " " + wide).status == 0);
  for (const char* arguments : {"", "--dtype float16 "}) {
    const auto result = run_command("convert " + (arguments + wide) + " " + (root / "x.pth"));
    CHECK(result.status == 2);
    CHECK(contains(result.output, "'wide' is expanded: in full it takes 4.0 TiB"));
    CHECK_FALSE(contains(result.output, "frame #"));
  }
  save_expanded(square, {3, 2});
  CHECK(run_command("convert " + square + " " + (root / "x.pth")).status == 0);
  CHECK(load_weights(root / "x.pth", torch::kCPU)["wide"].sizes() == torch::IntArrayRef({3, 2}));
}

TEST_CASE("convert says what a command line can do about integer keys and frozen modules") {
  const test::TemporaryDirectory root;
  const std::string training = root / "training.pth";
  Dict tree = one("model", one("weight", torch::ones({2})));
  tree.insert("optimizer", adam_state(1, torch::ones({2})));
  save(Value(tree), training);
  const auto integers = run_command("convert " + training + " " + (root / "x.pt"));
  CHECK(integers.status == 2);
  CHECK(contains(integers.output, "--item model"));
  const auto item = run_command("convert --json --item model " + training + " " + (root / "x.pt"));
  CHECK(item.status == 0);
  CHECK(json::parse(item.output) == json({{"output", root / "x.pt"}, {"tensors", 1}}));

  torch::jit::Module module("M");
  module.register_parameter("weight", torch::ones({2}), false);
  module.define("def forward(self, x):\n  return x + self.weight\n");
  module.eval();
  torch::jit::freeze(module).save(root / "frozen.pt");
  const auto frozen = run_command("convert " + (root / "frozen.pt") + " " + (root / "y.pth"));
  CHECK(frozen.status == 2);
  CHECK(contains(frozen.output, "no named tensors"));
  CHECK_FALSE(std::filesystem::exists(root / "y.pth"));
}

TEST_CASE("All commands work on a checkpoint of several ranks") {
  const test::TemporaryDirectory root;
  const auto all = test::coordinators(2);
  std::vector<torch::Tensor> large(2), own(2);
  const auto errors = test::run_ranks(2, [&](int rank) {
    const auto place = static_cast<size_t>(rank);
    large[place] = torch::arange(800000, torch::kFloat).view({800, 1000});
    own[place] = torch::full({3}, rank);
    State state;
    state.add("large", large[place]).add("own", own[place], PerRank()).rng(false);
    CheckpointManager manager(root / "runs",
                              CheckpointManagerOptions().name("e{epoch}").coordinator(all[place]));
    manager.save(state, {1});
  });
  REQUIRE(errors == test::no_errors(2));
  const std::string path = root / "runs/e1";

  const auto shown = run_command("show " + path);
  CHECK(shown.status == 0);
  CHECK(contains(shown.output, "0  checkpoint-00000-of-00002.pt"));
  CHECK(contains(shown.output, "own (rank 1)"));
  const json document = json::parse(run_command("show --json " + path).output);
  CHECK(document["world_size"] == 2);
  CHECK(document["tensors"][0]["parts"].size() == 2);
  CHECK(document["items"][1]["ranks"] == json({0, 1}));
  CHECK(run_command("verify " + path).status == 0);
  CHECK(run_command("list " + (root / "runs")).status == 0);

  const std::string converted = root / "all.pth";
  CHECK(run_command("convert " + path + " " + converted).status == 0);
  CHECK(test::same_bits(load(converted).dict().at("large").to_tensor(), large[0]));
  CHECK(run_command("diff " + path + " " + converted).status == 0);
}

TEST_CASE("convert gives a checkpoint's optimizer the form that the output's program loads") {
  const test::TemporaryDirectory root;
  test::Net net;
  torch::optim::AdamW optimizer(net->parameters(), torch::optim::AdamWOptions(0.25));
  test::train(net, optimizer, 2);
  torch::optim::StepLR scheduler(optimizer, 3, 0.5);
  scheduler.step();
  State state;
  state.add("model", net).add("optimizer", optimizer).add("scheduler", scheduler);
  const std::string out = root / "out.pth", archive = root / "out.pt";
  for (const Format format : {Format::kArchive, Format::kPth}) {
    CheckpointManager manager(root / "run", CheckpointManagerOptions().format(format));
    manager.save(state, {});
    const std::string latest = root / "run/latest";
    const auto converted = [&](const std::string& options, const std::string& to) {
      const auto result = run_command("convert " + options + ' ' + latest + ' ' + to);
      INFO(result.output);
      REQUIRE(result.status == 0);
      return load(to, torch::kCPU);
    };
    const Value python = converted("", out);
    CHECK(python["optimizer"]["state"][0].contains("exp_avg"));
    CHECK(python["optimizer"]["param_groups"][0]["decoupled_weight_decay"].to_bool());
    CHECK_FALSE(python["optimizer"]["param_groups"][0].contains("param_names"));
    CHECK(python["optimizer"]["param_groups"][0]["initial_lr"].to_double() == 0.25);
    CHECK(python["scheduler"]["last_epoch"].to_int() == 0);
    // The same goes into a live optimizer.
    test::Net other;
    torch::optim::AdamW live(other->parameters());
    load_optimizer_state_dict(live, converted("--item optimizer", out));
    CHECK(static_cast<torch::optim::AdamWOptions&>(live.param_groups()[0].options()).lr() == 0.25);

    const Value named = converted("--optimizer-form python-names", out);
    const std::string first = named["optimizer"]["param_groups"][0]["param_names"][0].to_string();
    CHECK(first == net->named_parameters()[0].key());
    CHECK(converted("--optimizer-form by-name", out)["optimizer"]["state"].contains(first));
    const Value plain = converted("", archive);
    CHECK(plain["optimizer"]["state"].contains("0"));
    CHECK(plain["optimizer"]["param_groups"].contains("param_groups/0"));
    CHECK(plain["scheduler"]["step_count"].to_int() == 1);
    CHECK(converted("--optimizer-form libtorch", out)["optimizer"]["state"].contains("0"));
  }
  CHECK(run_command("convert --optimizer-form other " + archive + ' ' + out).status == 2);
  const auto nameless = run_command("convert --optimizer-form by-name " + archive + ' ' + out);
  CHECK(nameless.status == 2);
  CHECK(contains(nameless.output, "names of the optimizer's parameters are not known"));
}

TEST_CASE("All commands take a distributed checkpoint") {
  const test::TemporaryDirectory root;
  const std::string source = root / "adam.pth", dcp = root / "dcp", back = root / "back.pth";
  Dict tree = one("optimizer", adam_state(3, torch::ones({2, 3})));
  tree.insert("model", one("0.weight", torch::arange(6, torch::kFloat).reshape({2, 3})));
  save(tree, source);
  CHECK(run_command("convert " + source + " " + dcp + " --to dcp").status == 0);
  CHECK(run_command("diff " + source + " " + dcp).status == 0);
  CHECK(run_command("convert " + dcp + " " + back).status == 0);
  CHECK(run_command("diff " + source + " " + back).status == 0);
  CHECK(contains(run_command("convert " + source + " " + dcp + " --to dcp").output, "not empty"));

  const auto shown = run_command("show " + dcp);
  CHECK(shown.status == 0);
  CHECK(contains(shown.output, "model.0.weight"));
  CHECK(contains(shown.output, "3 tensors"));
  const json document = json::parse(run_command("show --json " + dcp).output);
  CHECK(document["format"] == "distributed");
  CHECK(document["tensors"].size() == 3);
  CHECK(document["values"] == 1);

  CHECK(contains(run_command("verify " + dcp).output, "ok       " + dcp));
  CHECK(json::parse(run_command("verify --json " + dcp).output)["checkpoints"][0]["whole"] == true);
  const auto mixed = run_command("verify " + dcp + " " + root.path());
  CHECK(mixed.status == 2);
  CHECK(contains(mixed.output, "others are not"));
  const std::string blobs = test::read_file(dcp + "/__0_0.distcp");
  const size_t at = blobs.find(std::string("\0\0\xa0\x40", 4));  // The weight's last element: 5.
  REQUIRE(at != std::string::npos);
  test::flip_bit(dcp + "/__0_0.distcp", at);
  const auto damaged = run_command("verify " + dcp);
  CHECK(damaged.status == 1);
  CHECK(contains(damaged.output, "DAMAGED"));
  CHECK(contains(damaged.output, "the blob of 'model.0.weight': the checksum of record"));
}

TEST_CASE("convert leaves the states of an optimizer nested, also if they hold tensors alone") {
  const test::TemporaryDirectory root;
  test::Net net;
  torch::optim::SGD optimizer(net->parameters(), torch::optim::SGDOptions(0.1).momentum(0.9));
  test::train(net, optimizer, 1);
  State state;
  state.add("model", net).add("optimizer", optimizer);
  CheckpointManager(root / "run").save(state, {});
  const std::string out = root / "out.pth";
  for (const char* form : {"libtorch", "by-name"}) {
    const std::string options = std::string("--optimizer-form ") + form + ' ';
    REQUIRE(run_command("convert " + options + (root / "run/latest") + ' ' + out).status == 0);
    const Value states = load(out, torch::kCPU)["optimizer"]["state"];
    CHECK(states.dict().size() == net->parameters().size());
    for (const auto& [key, entry] : states.dict()) CHECK(entry.contains("momentum_buffer"));
  }
}
