// torch-checkpoint prune: removes the checkpoints that no rule keeps. With --dry-run it decides
// without the lock, and changes nothing. Otherwise it takes the writer lock first, so it is refused
// while a training writes to the directory.

#include "command.h"
#include "keep_options.h"
#include "output.h"
#include "places.h"

#include "store/directory/directory.h"
#include "store/directory/retire.h"
#include "store/directory/writer_hold.h"
#include "store/retention/ranking.h"
#include "store/retention/retention.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace checkpoint::cli {
namespace {

// The command line of prune.
struct PruneArguments {
  std::string directory;
  KeepOptions keep;
  bool dry_run = false;
  bool lock = true;
  bool json = false;
};

bool is_named(const std::string& metric, const std::vector<store::FoundCheckpoint>& found) {
  return std::any_of(found.begin(), found.end(), [&](const store::FoundCheckpoint& checkpoint) {
    return checkpoint.manifest.progress.metrics.count(metric) != 0;
  });
}

// Throws Error(invalid_argument) if no checkpoint has the metric of a rule. Retention would keep
// everything. But here the user has just typed the metric, and may have misspelt it.
void check_metrics(const std::vector<store::FoundCheckpoint>& found, const KeepRules& rules,
                   const std::string& directory) {
  const std::vector<std::string> unranked = store::unranked_metrics(found, rules);
  if (unranked.empty()) return;
  const std::string& metric = unranked.front();
  const std::set<std::string> names = store::metrics_with_values(found);
  throw Error(ErrorCode::kInvalidArgument,
              is_named(metric, found)
                  ? "the metric '" + metric + "' is NaN in all checkpoints that have it"
                  : "no checkpoint has the metric '" + metric + "'",
              directory, 0,
              names.empty() ? "Choose another rule: these checkpoints have no metrics."
                            : "Use one of: " + joined({names.begin(), names.end()}) + ".");
}

store::Decision prune(const PruneArguments& arguments) {
  store::FileSystem& fs = store::posix_file_system();
  need_directory_of_checkpoints(fs, arguments.directory);
  store::Directory directory(fs, arguments.directory);
  const KeepRules rules = arguments.keep.rules();
  std::optional<store::WriterHold> hold;
  if (!arguments.dry_run) {
    store::begin_writing(directory, arguments.lock ? store::TakeLock::kYes : store::TakeLock::kNo,
                         hold);
  }
  check_metrics(directory.scan(), rules, arguments.directory);
  store::Retention retention(rules, true);
  return arguments.dry_run ? retention.decide(directory, "") : retention.apply(directory, "");
}

void print(const PruneReport& report, bool dry_run) {
  std::vector<std::vector<std::string>> rows = {{"NAME", "", "WHY"}};
  for (const std::string& name : report.removed) {
    rows.push_back({printable(name), dry_run ? "goes" : "removed", ""});
  }
  for (const PruneReport::Kept& kept : report.kept) {
    rows.push_back({printable(kept.name), "stays", printable(joined(kept.reasons))});
  }
  print_table(rows);
  std::printf("\n%zu %s, %s; %zu stay\n", report.removed.size(), dry_run ? "would go" : "removed",
              human_bytes(report.removed_bytes).c_str(), report.kept.size());
}

void print_as_json(const PruneReport& report, bool dry_run) {
  nlohmann::ordered_json kept = nlohmann::ordered_json::array();
  for (const PruneReport::Kept& checkpoint : report.kept) {
    kept.push_back({{"name", checkpoint.name}, {"reasons", checkpoint.reasons}});
  }
  print_json({{"dry_run", dry_run},
              {"removed", report.removed},
              {"removed_bytes", report.removed_bytes},
              {"kept", std::move(kept)}});
}

}  // namespace

void add_prune(CLI::App& app, Run& run) {
  auto arguments = std::make_shared<PruneArguments>();
  CLI::App* command = app.add_subcommand(
      "prune",
      "Removes the checkpoints that no rule keeps. Always keeps the newest, pinned and damaged "
      "ones, and the one that the newest was resumed from.");
  command->add_option("DIR", arguments->directory, "The directory of checkpoints")->required();
  arguments->keep.add_to(*command);
  command->add_flag("--dry-run", arguments->dry_run,
                    "Only print what would be removed, and why the others stay");
  command->add_flag("!--no-lock", arguments->lock,
                    "For file systems without flock: make sure that no other program writes there");
  command->add_flag("--json", arguments->json, "Print JSON");
  command->footer(
      "Example: torch-checkpoint prune runs/digits --keep-last 3 --keep-best 2 accuracy max "
      "--dry-run");
  command->callback([arguments, &run] {
    if (arguments->keep.rules().empty()) {
      throw CLI::ValidationError("prune", "needs at least one rule that says what stays");
    }
    run = [arguments] {
      const store::Decision decision = prune(*arguments);
      if (arguments->json) {
        print_as_json(decision.report(), arguments->dry_run);
      } else {
        print(decision.report(), arguments->dry_run);
      }
      return decision.is_safe ? kAllWell : kDamageFound;
    };
  });
}

}  // namespace checkpoint::cli
