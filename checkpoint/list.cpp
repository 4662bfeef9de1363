// torch-checkpoint list: the checkpoints of a directory, one a line, or as JSON. It reads only the
// manifests, applies the rules to them to say why each checkpoint stays, and prints that. It
// changes nothing. A damaged checkpoint is a line too, and makes the exit status 1.

#include "command.h"
#include "directory_view.h"
#include "keep_options.h"
#include "output.h"

#include "store/directory/directory.h"
#include "store/records/names.h"
#include "store/retention/ranking.h"
#include "store/retention/retention.h"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <memory>
#include <set>
#include <utility>

namespace checkpoint::cli {
namespace {

// The command line of list.
struct ListArguments {
  std::string directory;
  KeepOptions keep;
  bool json = false;
};

// If no rule on the command line keeps a checkpoint, prune would remove it. With the rules of the
// run we cannot say that: its keep_if may keep the checkpoint, or the next save removes it.
std::string why_kept(const DirectoryView& view, size_t i) {
  if (!view.decision.reasons[i].empty()) return printable(joined(view.decision.reasons[i]));
  return view.rules_given ? "nothing: would be removed" : "-";
}

std::vector<std::string> pins_of_nothing(const store::Decision& decision) {
  std::set<std::string> pins = decision.pins;
  for (const store::FoundCheckpoint& checkpoint : decision.found) pins.erase(checkpoint.name);
  std::vector<std::string> names;
  std::copy_if(pins.begin(), pins.end(), std::back_inserter(names), store::is_checkpoint_name);
  return names;
}

std::string state_of(const store::FoundCheckpoint& checkpoint, bool is_pinned,
                     const KeepRules& rules) {
  std::string state = "ok";
  if (!checkpoint.manifest.progress.epoch_done) state += ", in mid-epoch";
  if (is_pinned) state += ", pinned";
  for (const std::string& metric : store::missing_metrics(checkpoint.manifest.progress, rules)) {
    state += ", no " + printable(metric);
  }
  return state;
}

void print(const DirectoryView& view) {
  const store::Decision& decision = view.decision;
  const KeepRules& rules = view.rules;
  std::vector<std::vector<std::string>> rows = {
      {"NAME", ">EPOCH", ">STEP", ">LOSS", "METRICS", ">SIZE", ">AGE", "STATE"}};
  if (!rules.empty()) rows[0].push_back("KEPT BY");
  for (size_t i = 0; i < decision.found.size(); ++i) {
    const store::FoundCheckpoint& checkpoint = decision.found[i];
    const std::string name = printable(checkpoint.name);
    if (checkpoint.problem) {
      rows.push_back(
          {name, "", "", "", "", "", "", "damaged: " + printable(checkpoint.problem->what())});
      continue;
    }
    const Manifest& manifest = checkpoint.manifest;
    rows.push_back({name, std::to_string(manifest.progress.epoch),
                    std::to_string(manifest.progress.step), human_number(manifest.progress.loss),
                    human_metrics(manifest.progress), human_bytes(manifest.total_bytes()),
                    age_since(manifest.created),
                    state_of(checkpoint, decision.pins.count(checkpoint.name) != 0, rules)});
    if (!rules.empty()) rows.back().push_back(why_kept(view, i));
  }
  print_table(rows);
  for (const std::string& name : pins_of_nothing(decision)) {
    std::printf("pinned but missing: %s\n", printable(name).c_str());
  }
}

void print_as_json(const DirectoryView& view) {
  const store::Decision& decision = view.decision;
  nlohmann::ordered_json checkpoints = nlohmann::ordered_json::array();
  for (size_t i = 0; i < decision.found.size(); ++i) {
    const store::FoundCheckpoint& checkpoint = decision.found[i];
    nlohmann::ordered_json entry = {{"name", checkpoint.name}, {"path", checkpoint.path}};
    entry["damage"] = nullptr;
    if (checkpoint.problem) entry["damage"] = checkpoint.problem->what();
    entry.update(retention_fields(view, i));
    if (!checkpoint.problem) entry.update(to_json(checkpoint.manifest));
    checkpoints.push_back(std::move(entry));
  }
  print_json({{"checkpoints", std::move(checkpoints)},
              {"pins_without_checkpoint", pins_of_nothing(decision)}});
}

ExitCode list(const ListArguments& arguments) {
  const DirectoryView view = read_directory(arguments.directory, arguments.keep.rules());
  if (arguments.json) {
    print_as_json(view);
  } else {
    print(view);
  }
  for (const store::FoundCheckpoint& checkpoint : view.decision.found) {
    if (checkpoint.problem) return kDamageFound;
  }
  return kAllWell;
}

}  // namespace

void add_list(CLI::App& app, Run& run) {
  auto arguments = std::make_shared<ListArguments>();
  CLI::App* command = app.add_subcommand(
      "list", "Lists the checkpoints in a directory, oldest first, from their manifests alone.");
  command->add_option("DIR", arguments->directory, "The directory of checkpoints")->required();
  command->add_flag("--json", arguments->json, "Print JSON");
  arguments->keep.add_to(*command);
  command->footer("Example: torch-checkpoint list runs/digits");
  command->callback([arguments, &run] {
    arguments->keep.rules();  // Throws here, so that an invalid rule is reported as wrong usage.
    run = [arguments] { return list(*arguments); };
  });
}

}  // namespace checkpoint::cli
