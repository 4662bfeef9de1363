// torch-checkpoint report: one HTML page about a run. The page needs no network.
//
//   1. Collect the saves, from history.jsonl and from the checkpoints that still exist. The history
//      also has the removed ones.
//   2. Find the best checkpoint: the one that the link "best" points to, or the best by a metric.
//   3. Put all of it into the page as JSON. The page's script (report/report.js) draws it.

#include "command.h"
#include "output.h"
#include "places.h"
#include "report_page.h"

#include "base/clock.h"
#include "base/json.h"
#include "store/directory/directory.h"
#include "store/directory/history.h"
#include "store/directory/pins.h"
#include "store/io/atomic_file.h"
#include "store/io/file.h"
#include "store/records/names.h"
#include "store/records/progress_json.h"
#include "store/retention/ranking.h"

#include <checkpoint/error.h>
#include <checkpoint/version.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <utility>

namespace checkpoint::cli {
namespace {

// The command line of report.
struct ReportArguments {
  std::string directory;
  std::string output = "report.html";
  std::string metric;
  std::string mode = "min";
  std::string x = "epoch";
  bool json = false;
};

// One save, as the page shows it. `kept`: the checkpoint still exists.
struct Point {
  store::HistoryEntry entry;
  bool kept = false;
};

// All known saves by sequence: those that still exist, and those that only the history knows.
using Points = std::map<int64_t, Point>;

Points gather(const store::Directory& directory, const std::vector<store::FoundCheckpoint>& found) {
  Points points;
  for (store::HistoryEntry& entry : store::read_history(directory)) {
    points[entry.sequence] = {std::move(entry), false};
  }
  for (const store::FoundCheckpoint& checkpoint : found) {
    if (checkpoint.problem) continue;
    store::HistoryEntry entry = store::history_entry(checkpoint.manifest);
    const auto known = points.find(entry.sequence);
    // The history includes the time of the commit, which the manifest cannot know.
    if (known != points.end()) entry.seconds = known->second.entry.seconds;
    points[entry.sequence] = {std::move(entry), true};
  }
  return points;
}

// Returns the sequence of the save that this entry's run was resumed from. Names may be reused, so
// it is the last save of that name before this entry. 0 without one.
int64_t parent_of(const Points& points, const store::HistoryEntry& entry) {
  if (entry.parent.empty()) return 0;
  for (auto point = std::make_reverse_iterator(points.lower_bound(entry.sequence));
       point != points.rend(); ++point) {
    if (point->second.entry.name == entry.parent) return point->first;
  }
  return 0;
}

// Returns the name of the checkpoint that the training's manager considers the best: the target of
// its link. Empty without a link.
std::string linked_best(const std::string& directory) {
  std::error_code none;
  return std::filesystem::read_symlink(store::join(directory, store::kBestLink), none)
      .filename()
      .string();
}

nlohmann::ordered_json to_json(const Points& points, const std::set<std::string>& pins) {
  nlohmann::ordered_json result = nlohmann::ordered_json::array();
  std::set<int64_t> resumed_from;
  for (const auto& [sequence, point] : points) {
    resumed_from.insert(parent_of(points, point.entry));
  }
  for (const auto& [sequence, point] : points) {
    const store::HistoryEntry& entry = point.entry;
    result.push_back({{"sequence", sequence},
                      {"name", entry.name},
                      {"parent", entry.parent},
                      {"parent_sequence", parent_of(points, entry)},
                      {"run_id", entry.run_id},
                      {"created", entry.created},
                      {"progress", store::progress_to_json(entry.progress)},
                      {"bytes", entry.bytes},
                      {"seconds", base::json_number(entry.seconds)},
                      {"kept", point.kept},
                      {"pinned", point.kept && pins.count(entry.name) != 0},
                      {"resumed_from", resumed_from.count(sequence) != 0}});
  }
  return result;
}

// Returns the sequence of the newest existing checkpoint of that name. 0 without one.
int64_t kept_of_name(const Points& points, const std::string& name) {
  const auto point = std::find_if(points.rbegin(), points.rend(), [&](const auto& entry) {
    return entry.second.kept && entry.second.entry.name == name;
  });
  return point != points.rend() ? point->first : 0;
}

// Throws Error(invalid_argument), with all known metrics, if no save has this metric.
void check_metric(const Points& points, const std::string& metric, const std::string& directory) {
  std::set<std::string> names = {"loss"};
  for (const auto& [sequence, point] : points) {
    for (const auto& [name, value] : point.entry.progress.metrics) names.insert(name);
  }
  if (names.count(metric) != 0) return;
  throw Error(ErrorCode::kInvalidArgument, "no save has the metric '" + metric + "'", directory, 0,
              "Use one of: " + joined({names.begin(), names.end()}) + ".");
}

// The best checkpoint, and the metric that decided it: empty if the link decided.
struct Best {
  int64_t sequence = 0;  // 0 if no checkpoint is the best.
  std::string name;
  std::string metric;
};

Best find_best(const ReportArguments& arguments, const std::vector<store::FoundCheckpoint>& found,
               const Points& points) {
  if (arguments.metric.empty()) {
    const std::string linked = linked_best(arguments.directory);
    const int64_t sequence = linked.empty() ? 0 : kept_of_name(points, linked);
    if (sequence != 0) return {sequence, linked, ""};
  }
  const std::string metric = arguments.metric.empty() ? "loss" : arguments.metric;
  check_metric(points, metric, arguments.directory);
  const Mode mode = arguments.mode == "max" ? Mode::kMax : Mode::kMin;
  const size_t place = store::best_of(found, {1, metric, mode});
  if (place == found.size()) return {0, "", metric};
  return {found[place].sequence, found[place].name, metric};
}

// Returns the directory's own name, also for ".", "run/" and "run/x/..".
std::string title_of(const std::string& directory) {
  const std::filesystem::path path = std::filesystem::absolute(directory).lexically_normal();
  const std::string name = (path.has_filename() ? path : path.parent_path()).filename().string();
  return name.empty() ? path.string() : name;
}

nlohmann::ordered_json gather_data(const ReportArguments& arguments) {
  const store::Directory directory(store::posix_file_system(), arguments.directory);
  const std::vector<store::FoundCheckpoint> found = directory.scan();
  const Points points = gather(directory, found);

  nlohmann::ordered_json damaged = nlohmann::ordered_json::array();
  for (const store::FoundCheckpoint& checkpoint : found) {
    if (checkpoint.problem) damaged.push_back(checkpoint.name);
  }
  const auto newest = std::find_if(points.rbegin(), points.rend(),
                                   [](const auto& point) { return point.second.kept; });
  const Best best = find_best(arguments, found, points);
  return {{"title", title_of(arguments.directory)},
          {"created", base::utc_now()},
          {"library_version", TORCH_CHECKPOINT_VERSION},
          {"x", arguments.x},
          {"latest_sequence", newest != points.rend() ? newest->first : 0},
          {"best_sequence", best.sequence},
          {"best", best.name},
          {"best_metric", best.metric},
          {"points", to_json(points, store::read_pins(directory))},
          {"damaged", std::move(damaged)}};
}

// Escapes '<', so that no name in the JSON can end the page's script element.
std::string for_script_element(const nlohmann::ordered_json& document) {
  std::string text;
  for (const char c : base::dump_json(document, /*indent=*/-1)) {
    if (c == '<') {
      text += "\\u003c";
    } else {
      text += c;
    }
  }
  return text;
}

ExitCode report(const ReportArguments& arguments) {
  store::FileSystem& fs = store::posix_file_system();
  need_directory_of_checkpoints(fs, arguments.directory);
  static const std::string kPlace = "@DATA@";
  std::string page = kReportPage;
  const nlohmann::ordered_json data = gather_data(arguments);
  page.replace(page.find(kPlace), kPlace.size(), for_script_element(data));
  store::write_atomically(fs, arguments.output,
                          [&](store::ByteSink& sink) { sink.write(page.data(), page.size()); });
  if (arguments.json) {
    print_json({{"output", arguments.output},
                {"saves", data["points"].size()},
                {"damaged", data["damaged"]}});
  } else {
    std::printf("%s\n", printable(arguments.output).c_str());
  }
  return kAllWell;
}

}  // namespace

void add_report(CLI::App& app, Run& run) {
  auto arguments = std::make_shared<ReportArguments>();
  CLI::App* command = app.add_subcommand(
      "report",
      "Writes an HTML page, in one file, with loss, metrics, checkpoints, sizes and restarts.");
  command->add_option("DIR", arguments->directory, "The directory of checkpoints")->required();
  command->add_option("-o,--output", arguments->output, "The file to write")->capture_default_str();
  command->add_option(
      "--metric", arguments->metric,
      "The metric that decides which checkpoint is best (default: the link 'best', else loss)");
  command->add_option("--mode", arguments->mode, "Whether the best metric is the lowest or highest")
      ->check(CLI::IsMember({"min", "max"}))
      ->capture_default_str();
  command->add_option("--x", arguments->x, "What the x axis shows")
      ->check(CLI::IsMember({"epoch", "step"}))
      ->capture_default_str();
  command->add_flag("--json", arguments->json, "Print JSON: what was written, not the data");
  command->footer("Example: torch-checkpoint report runs/digits -o report.html");
  command->callback([arguments, &run] { run = [arguments] { return report(*arguments); }; });
}

}  // namespace checkpoint::cli
