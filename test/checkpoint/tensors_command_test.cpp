#include "catch.h"
#include "checkpoint/run_command.h"
#include "error_of.h"
#include "models.h"
#include "temporary_directory.h"

#include <checkpoint/checkpoint.h>

#include <nlohmann/json.hpp>

#include <cmath>
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

}  // namespace

TEST_CASE("diff tells what was added, removed and changed, and by how much") {
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
  const auto twice = run_command("convert " + from + " " + (root / "x.pt") +
                                 " --item model --rename first.=second.");
  CHECK(twice.status == 2);
  CHECK(contains(twice.output, "second.weight"));
}
