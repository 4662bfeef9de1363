#include "command.h"
#include "output.h"

#include "difference.h"
#include "flat.h"

#include "store/json.h"

#include <checkpoint/error.h>
#include <checkpoint/state_dict.h>

#include <spdlog/fmt/fmt.h>
#include <torch/torch.h>

#include <cmath>
#include <cstdio>
#include <memory>
#include <utility>

namespace checkpoint::cli {
namespace {

struct Arguments {
  std::string left;
  std::string right;
  bool all = false;
  bool json = false;
};

struct Entry {
  const char* what;  // "added", "removed", "changed", "same"
  std::string name;
  std::string before;  // A tensor's dtype and shape, or the value; empty where there is none.
  std::string after;
  bool measured = false;
  Difference difference;
};

std::string text_of(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kBool:
      return value.to_bool() ? "true" : "false";
    case Value::Kind::kInt:
      return std::to_string(value.to_int());
    case Value::Kind::kDouble:
      return fmt::format("{}", value.to_double());
    case Value::Kind::kString:
      return '"' + value.to_string() + '"';
    case Value::Kind::kTensor: {
      const at::Tensor& tensor = value.to_tensor();
      std::string shape;
      for (const int64_t size : tensor.sizes()) {
        shape += (shape.empty() ? "" : ", ") + std::to_string(size);
      }
      return std::string(c10::toString(tensor.scalar_type())) + " [" + shape + "]";
    }
    default:
      return to_string(value.kind());
  }
}

bool comparable(const Value& left, const Value& right) {
  return left.is_tensor() && right.is_tensor() &&
         left.to_tensor().scalar_type() == right.to_tensor().scalar_type() &&
         left.to_tensor().sizes() == right.to_tensor().sizes();
}

Entry compare(const std::string& name, const Value& left, const Value& right) {
  Entry entry{"changed", name, text_of(left), text_of(right), false, {}};
  if (comparable(left, right)) {
    entry.measured = true;
    entry.difference = difference(left.to_tensor(), right.to_tensor());
    if (entry.difference.same_bits) entry.what = "same";
  } else if (!left.is_tensor() && left.kind() == right.kind() && entry.before == entry.after) {
    entry.what = "same";
  }
  return entry;
}

std::vector<Entry> compare(const Flat& left, const Flat& right) {
  std::vector<Entry> entries;
  for (const std::string& name : left.names) {
    const Value* const other = right.find(name);
    if (other != nullptr) {
      entries.push_back(compare(name, *left.find(name), *other));
    } else {
      entries.push_back({"removed", name, text_of(*left.find(name)), "", false, {}});
    }
  }
  for (const std::string& name : right.names) {
    if (left.find(name) != nullptr) continue;
    entries.push_back({"added", name, "", text_of(*right.find(name)), false, {}});
  }
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
    rows.push_back({entry.what, printable(entry.name), printable(both(entry)),
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
      row["largest"] = store::json_number(entry.difference.largest);
      row["relative_l2"] = store::json_number(entry.difference.relative_l2);
    }
    list.push_back(std::move(row));
  }
  print_json({{"same", count(entries, "same")},
              {"changed", count(entries, "changed")},
              {"added", count(entries, "added")},
              {"removed", count(entries, "removed")},
              {"entries", std::move(list)}});
}

// Damage is trouble here, and not what the caller asked about.
Flat read(const std::string& path) {
  try {
    return flatten(load(path, torch::kCPU));
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kCorrupt) throw;
    throw Error(ErrorCode::kIo, error.what());
  }
}

ExitCode diff(const Arguments& arguments) {
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
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("diff", kDiffText);
  command->add_option("A", arguments->left, "A checkpoint or a file of any format")->required();
  command->add_option("B", arguments->right, "Another one")->required();
  command->add_flag("--all", arguments->all, "Also what is the same");
  command->add_flag("--json", arguments->json, "Print JSON");
  command->footer(
      "Exit status: 0 all the same, 1 different, 2 wrong usage, not found or damaged.\n"
      "Example: torch-checkpoint diff runs/digits/epoch0002 runs/digits/latest");
  command->callback([arguments, &run] { run = [arguments] { return diff(*arguments); }; });
}

}  // namespace checkpoint::cli
