#include "command.h"
#include "output.h"
#include "progress_bar.h"

#include "store/directory.h"
#include "store/manifest.h"
#include "store/marker.h"
#include "store/names.h"
#include "store/verify.h"

#include <checkpoint/error.h>

#include <cstdio>
#include <memory>
#include <numeric>

namespace checkpoint::cli {
namespace {

struct Arguments {
  std::vector<std::string> paths;
  bool json = false;
};

struct Result {
  std::string path;
  uint64_t bytes = 0;
  std::string error;  // Empty: whole.
  ExitCode code = kAllWell;
};

bool is_checkpoint(store::FileSystem& fs, const std::string& path) {
  return store::look(fs, store::join(path, store::kManifestFile)).st_mode != 0 ||
         store::has_marker(fs, path);
}

// A path is a checkpoint, or a directory of them.
std::vector<std::string> checkpoints_at(store::FileSystem& fs, const std::string& path) {
  if (!store::is_directory(fs, path)) {
    throw Error(ErrorCode::kNotFound, "there is no such checkpoint or directory", path);
  }
  if (is_checkpoint(fs, path)) return {path};
  std::vector<std::string> paths;
  for (const store::FoundCheckpoint& found : store::Directory(fs, path).scan()) {
    paths.push_back(found.path);
  }
  if (paths.empty()) throw Error(ErrorCode::kNotFound, "there are no checkpoints here", path);
  return paths;
}

// What its manifest says; 0 if that cannot be read, which `verify` will tell.
uint64_t expected_bytes(store::FileSystem& fs, const std::string& path) {
  try {
    return store::read_manifest(fs, path).total_bytes();
  } catch (const Error&) {
    return 0;
  }
}

Result verify(store::FileSystem& fs, const std::string& path, const OnTransfer& told) {
  try {
    const auto checkpoint = store::verify_checkpoint(fs, path, store::ReadFrom::kCache, told);
    return {path, checkpoint.manifest.total_bytes(), "", kAllWell};
  } catch (const Error& error) {
    // A checkpoint that lacks a file is damaged; one that cannot be read may not be.
    const bool damaged =
        error.code() == ErrorCode::kCorrupt || error.code() == ErrorCode::kNotFound;
    return {path, 0, error.what(), damaged ? kDamageFound : kWrongUse};
  }
}

void print(const Result& result) {
  if (result.error.empty()) {
    std::printf("ok       %s (%s)\n", printable(result.path).c_str(),
                human_bytes(result.bytes).c_str());
  } else {
    std::printf("%s  %s: %s\n", result.code == kDamageFound ? "DAMAGED" : "FAILED ",
                printable(result.path).c_str(), printable(result.error).c_str());
  }
}

void print_as_json(const std::vector<Result>& results) {
  nlohmann::ordered_json entries = nlohmann::ordered_json::array();
  for (const Result& result : results) {
    const bool whole = result.error.empty();
    entries.push_back(
        {{"path", result.path},
         {"whole", whole},
         {"bytes", result.bytes},
         {"error", whole ? nlohmann::ordered_json() : nlohmann::ordered_json(result.error)}});
  }
  print_json({{"checkpoints", std::move(entries)}});
}

ExitCode verify_all(const Arguments& arguments) {
  store::FileSystem& fs = store::posix_file_system();
  std::vector<std::string> paths;
  for (const std::string& path : arguments.paths) {
    for (std::string& checkpoint : checkpoints_at(fs, path)) paths.push_back(std::move(checkpoint));
  }
  std::vector<uint64_t> sizes;
  for (const std::string& path : paths) sizes.push_back(expected_bytes(fs, path));
  ProgressBar bar(std::accumulate(sizes.begin(), sizes.end(), uint64_t{0}));
  std::vector<Result> results;
  ExitCode worst = kAllWell;
  uint64_t done = 0;
  for (size_t i = 0; i < paths.size(); ++i) {
    bar.show(done);
    results.push_back(verify(
        fs, paths[i], [&](const Transfer& transfer) { bar.show(done + transfer.bytes_done); }));
    done += sizes[i];
    if (!arguments.json) {
      bar.clear();
      print(results.back());
    }
    // Damage is what the caller asked about: it outweighs what could not be read.
    if (worst != kDamageFound && results.back().code != kAllWell) worst = results.back().code;
  }
  bar.clear();
  if (arguments.json) print_as_json(results);
  return worst;
}

}  // namespace

void add_verify(CLI::App& app, Run& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand(
      "verify", "Reads checkpoints whole and compares every byte with its digest.");
  command->add_option("PATH", arguments->paths, "Checkpoints, or directories of checkpoints")
      ->required();
  command->add_flag("--json", arguments->json, "Print JSON");
  command->footer("Example: torch-checkpoint verify runs/digits");
  command->callback([arguments, &run] { run = [arguments] { return verify_all(*arguments); }; });
}

}  // namespace checkpoint::cli
