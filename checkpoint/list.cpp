#include "command.h"
#include "output.h"

#include "store/directory.h"
#include "store/file.h"

#include <checkpoint/error.h>

#include <memory>

namespace checkpoint::cli {
namespace {

struct Arguments {
  std::string directory;
  bool json = false;
};

std::vector<store::FoundCheckpoint> find(const std::string& path) {
  store::FileSystem& fs = store::posix_file_system();
  if (!S_ISDIR(store::look(fs, store::join(path, ".")).st_mode)) {
    throw Error(ErrorCode::kNotFound, "there is no such directory", path);
  }
  return store::Directory(fs, path).scan();
}

void print(const std::vector<store::FoundCheckpoint>& found) {
  std::vector<std::vector<std::string>> rows = {
      {"NAME", ">EPOCH", ">STEP", ">LOSS", "METRICS", ">SIZE", ">AGE", "STATE"}};
  for (const store::FoundCheckpoint& checkpoint : found) {
    if (checkpoint.problem) {
      rows.push_back({printable(checkpoint.name), "", "", "", "", "", "",
                      "damaged: " + printable(checkpoint.problem->what())});
      continue;
    }
    const Manifest& manifest = checkpoint.manifest;
    rows.push_back({printable(checkpoint.name), std::to_string(manifest.progress.epoch),
                    std::to_string(manifest.progress.step), human_number(manifest.progress.loss),
                    human_metrics(manifest.progress), human_bytes(manifest.total_bytes()),
                    age_since(manifest.created),
                    manifest.progress.epoch_done ? "ok" : "ok, in mid-epoch"});
  }
  print_table(rows);
}

void print_as_json(const std::vector<store::FoundCheckpoint>& found) {
  nlohmann::ordered_json checkpoints = nlohmann::ordered_json::array();
  for (const store::FoundCheckpoint& checkpoint : found) {
    nlohmann::ordered_json entry = {{"name", checkpoint.name}, {"path", checkpoint.path}};
    if (checkpoint.problem) {
      entry["damage"] = checkpoint.problem->what();
    } else {
      entry["damage"] = nullptr;
      entry.update(to_json(checkpoint.manifest));
    }
    checkpoints.push_back(std::move(entry));
  }
  print_json({{"checkpoints", std::move(checkpoints)}});
}

ExitCode list(const Arguments& arguments) {
  const std::vector<store::FoundCheckpoint> found = find(arguments.directory);
  if (arguments.json) {
    print_as_json(found);
  } else {
    print(found);
  }
  for (const store::FoundCheckpoint& checkpoint : found) {
    if (checkpoint.problem) return kDamageFound;
  }
  return kAllWell;
}

}  // namespace

void add_list(CLI::App& app, Run& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand(
      "list", "Lists the checkpoints in a directory, oldest first, from their manifests alone.");
  command->add_option("DIR", arguments->directory, "The directory of checkpoints")->required();
  command->add_flag("--json", arguments->json, "Print JSON");
  command->footer("Example: torch-checkpoint list runs/digits");
  command->callback([arguments, &run] { run = [arguments] { return list(*arguments); }; });
}

}  // namespace checkpoint::cli
