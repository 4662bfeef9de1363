// torch-checkpoint diff: compares two checkpoints or files, name by name.
//
//   1. Load both on the CPU and make their trees flat (flat.h).
//   2. For each name: it is added, removed, changed or the same. For two tensors of the same shape
//      and dtype, measure how different they are (difference.h).
//   3. Compare the containers too: a list and a tuple with the same values differ.

#include "command.h"
#include "output.h"

#include "difference.h"
#include "flat.h"
#include "tensor_errors.h"
#include "value_text.h"

#include "base/json.h"

#include <checkpoint/error.h>
#include <checkpoint/file.h>

#include <spdlog/fmt/fmt.h>
#include <torch/torch.h>

#include <cmath>
#include <cstdio>
#include <memory>
#include <utility>

namespace checkpoint::cli {
namespace {

// The command line of diff.
struct DiffArguments {
  std::string left;
  std::string right;
  bool all = false;
  bool json = false;
};

// The result for one name.
struct Entry {
  const char* what;  // "added", "removed", "changed", "same"
  std::string name;
  std::string before;  // A tensor's dtype and shape, or the value. Empty if it was added.
  std::string after;
  bool measured = false;
  Difference difference;
};

bool comparable(const Value& left, const Value& right) {
  return left.is_tensor() && right.is_tensor() &&
         left.to_tensor().scalar_type() == right.to_tensor().scalar_type() &&
         left.to_tensor().sizes() == right.to_tensor().sizes();
}

// What one of the two files holds.
struct Content {
  Flat flat;
  std::string path;
};

Entry compare(const std::string& name, const Content& left, const Content& right) {
  const Value& before = *left.flat.find(name);
  const Value& after = *right.flat.find(name);
  Entry entry{"changed", name, text_of(before), text_of(after), false, {}};
  if (comparable(before, after)) {
    entry.measured = true;
    entry.difference =
        difference({before.to_tensor(), left.path}, {after.to_tensor(), right.path}, name);
    if (entry.difference.same_bits) entry.what = "same";
  } else if (same_value(before, after)) {
    entry.what = "same";
  }
  return entry;
}

// Finds containers whose kind has changed, for example from a tuple to a list of the same values.
void compare_containers(const Flat& left, const Flat& right, std::vector<Entry>& entries) {
  for (const auto& [name, kind] : left.containers) {
    const auto other = right.containers.find(name);
    if (other == right.containers.end() || other->second == kind) continue;
    entries.push_back({"changed", name, kind, other->second, false, {}});
  }
}

std::vector<Entry> compare(const Content& left, const Content& right) {
  std::vector<Entry> entries;
  for (const std::string& name : left.flat.names) {
    if (right.flat.find(name) != nullptr) {
      entries.push_back(compare(name, left, right));
    } else {
      entries.push_back({"removed", name, text_of(*left.flat.find(name)), "", false, {}});
    }
  }
  for (const std::string& name : right.flat.names) {
    if (left.flat.find(name) != nullptr) continue;
    entries.push_back({"added", name, "", text_of(*right.flat.find(name)), false, {}});
  }
  compare_containers(left.flat, right.flat, entries);
  return entries;
}

size_t count(const std::vector<Entry>& entries, const std::string& what) {
  size_t result = 0;
  for (const Entry& entry : entries) result += entry.what == what;
  return result;
}

std::string both(const Entry& entry) {
  if (entry.before == entry.after) return entry.before;
  if (entry.before.empty()) return entry.after;
  return entry.after.empty() ? entry.before : entry.before + " -> " + entry.after;
}

void print(const std::vector<Entry>& entries, bool all) {
  std::vector<std::vector<std::string>> rows = {{"", "NAME", "WHAT", ">LARGEST", ">RELATIVE L2"}};
  for (const Entry& entry : entries) {
    if (!all && entry.what == std::string("same")) continue;
    const bool measured = entry.measured && !entry.difference.same_bits;
    const std::string name = entry.name.empty() ? "(the whole)" : printable(entry.name);
    rows.push_back({entry.what, name, printable(both(entry)),
                    measured ? fmt::format("{:.3g}", entry.difference.largest) : "",
                    measured ? fmt::format("{:.3g}", entry.difference.relative_l2) : ""});
  }
  if (rows.size() > 1) {
    print_table(rows);
    std::printf("\n");
  }
  std::printf("%zu same, %zu changed, %zu added, %zu removed\n", count(entries, "same"),
              count(entries, "changed"), count(entries, "added"), count(entries, "removed"));
}

void print_as_json(const std::vector<Entry>& entries) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Entry& entry : entries) {
    nlohmann::ordered_json row = {{"name", entry.name}, {"what", entry.what}};
    if (!entry.before.empty()) row["before"] = entry.before;
    if (!entry.after.empty()) row["after"] = entry.after;
    if (entry.measured) {
      row["largest"] = base::json_number(entry.difference.largest);
      row["relative_l2"] = base::json_number(entry.difference.relative_l2);
    }
    list.push_back(std::move(row));
  }
  print_json({{"same", count(entries, "same")},
              {"changed", count(entries, "changed")},
              {"added", count(entries, "added")},
              {"removed", count(entries, "removed")},
              {"entries", std::move(list)}});
}

// Reports damage as kIo: exit status 1 means "different" here.
Content read(const std::string& path) {
  try {
    return {flatten(load(path, torch::kCPU), SameName::kNumber, path), path};
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kCorrupt) throw;
    throw Error(ErrorCode::kIo, error.what());
  }
}

ExitCode diff(const DiffArguments& arguments) {
  const std::vector<Entry> entries = compare(read(arguments.left), read(arguments.right));
  if (arguments.json) {
    print_as_json(entries);
  } else {
    print(entries, arguments.all);
  }
  return count(entries, "same") == entries.size() ? kAllWell : kDifferent;
}

}  // namespace

void add_diff(CLI::App& app, Run& run) {
  auto arguments = std::make_shared<DiffArguments>();
  CLI::App* command = app.add_subcommand(kDiff, kDiffText);
  command
      ->add_option("A", arguments->left,
                   "A checkpoint, a file of any format, or a model in several files")
      ->required();
  command->add_option("B", arguments->right, "What to compare it with")->required();
  command->add_flag("--all", arguments->all, "Also list what is the same");
  command->add_flag("--json", arguments->json, "Print JSON");
  command->footer(
      "Exit status: 0 equal, 1 different, 2 wrong usage, not found or damaged.\n"
      "Example: torch-checkpoint diff runs/digits/epoch0002 runs/digits/latest");
  command->callback(
      [arguments, &run] { run = without_backtraces([arguments] { return diff(*arguments); }); });
}

}  // namespace checkpoint::cli
