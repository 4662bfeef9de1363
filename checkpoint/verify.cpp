// torch-checkpoint verify: reads whole checkpoints and compares all digests with their manifests.
//
//   1. Find the checkpoints: each path is one checkpoint, or a directory of them.
//   2. Verify one after the other, with a progress bar, and print each result at once.
//   3. Return the worst result as exit status. Damage is worse than a path that cannot be read.
//
// A checkpoint that is damaged or cannot be read does not stop the others from being verified.

#include "command.h"
#include "output.h"
#include "places.h"
#include "progress_bar.h"
#include "verified.h"

#include "store/directory/directory.h"
#include "store/directory/verify.h"
#include "store/io/file.h"
#include "store/records/manifest.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <utility>

namespace checkpoint::cli {
namespace {

// The command line of verify.
struct VerifyArguments {
  std::vector<std::string> paths;
  bool json = false;
};

// A checkpoint to verify, and its size by its manifest: 0 if the manifest cannot be read, which
// `verify` reports later. Or a path without a checkpoint, and the error for it.
struct Target {
  std::string path;
  uint64_t bytes;
  std::string error = {};
};

uint64_t expected_bytes(store::FileSystem& fs, const std::string& path) {
  try {
    return store::read_manifest(fs, path).total_bytes();
  } catch (const Error&) {
    return 0;
  }
}

// Returns the checkpoint at `path`, or all checkpoints in it. Throws Error if it finds no
// checkpoint.
std::vector<Target> checkpoints_at(store::FileSystem& fs, const std::string& path) {
  refuse_if_file(fs, path);
  if (!store::is_directory(fs, path)) {
    throw Error(ErrorCode::kNotFound, "no such checkpoint or directory", path);
  }
  if (is_checkpoint(fs, path)) return {{path, expected_bytes(fs, path)}};
  std::vector<Target> targets;
  for (const store::FoundCheckpoint& found : store::Directory(fs, path).scan()) {
    targets.push_back({found.path, found.problem ? 0 : found.manifest.total_bytes()});
  }
  if (targets.empty()) throw Error(ErrorCode::kNotFound, "this directory has no checkpoints", path);
  return targets;
}

// The same, but returns an error as a target, so that the other paths are still verified.
std::vector<Target> targets_at(store::FileSystem& fs, const std::string& path) {
  try {
    return checkpoints_at(fs, path);
  } catch (const Error& error) {
    return {{path, 0, error.what()}};
  }
}

Verified verify(store::FileSystem& fs, const Target& target, const OnTransfer& on_transfer) {
  const std::string& path = target.path;
  if (!target.error.empty()) return {path, 0, target.error, kWrongUse};
  try {
    const auto checkpoint =
        store::verify_checkpoint(fs, path, store::ReadFrom::kCache, on_transfer);
    return {path, checkpoint.manifest.total_bytes(), "", kAllWell};
  } catch (const Error& error) {
    // A checkpoint that lacks a file is damaged. One that cannot be read may be whole.
    const bool damaged =
        error.code() == ErrorCode::kCorrupt || error.code() == ErrorCode::kNotFound;
    return {path, 0, error.what(), damaged ? kDamageFound : kWrongUse};
  }
}

ExitCode verify_all(const VerifyArguments& arguments) {
  store::FileSystem& fs = store::posix_file_system();
  std::vector<Target> targets;
  uint64_t bytes_total = 0;
  for (const std::string& path : arguments.paths) {
    for (Target& target : targets_at(fs, path)) {
      bytes_total += target.bytes;
      targets.push_back(std::move(target));
    }
  }
  ProgressBar bar(bytes_total);
  std::vector<Verified> results;
  uint64_t done = 0;
  for (const Target& target : targets) {
    bar.show(done);
    results.push_back(verify(
        fs, target, [&](const Transfer& transfer) { bar.show(done + transfer.bytes_done); }));
    done += target.bytes;
    if (!arguments.json) {
      bar.clear();
      print(results.back());
    }
  }
  bar.clear();
  if (arguments.json) print_as_json(results);
  return worst_of(results);
}

// The second program reads what this library's manager did not write. Throws
// Error(invalid_argument) for a mixture.
bool are_of_others(const std::vector<std::string>& paths) {
  store::FileSystem& fs = store::posix_file_system();
  const auto count = std::count_if(paths.begin(), paths.end(), [&](const std::string& path) {
    return is_distributed(fs, path) || is_sharded(fs, path);
  });
  if (count == 0) return false;
  if (count == static_cast<std::ptrdiff_t>(paths.size())) return true;
  throw Error(ErrorCode::kInvalidArgument,
              "some of these are checkpoints of this library, and others are not", "", 0,
              "Verify them one after the other.");
}

}  // namespace

void add_verify(CLI::App& app, Run& run, char** argv) {
  auto arguments = std::make_shared<VerifyArguments>();
  CLI::App* command = app.add_subcommand(
      "verify",
      "Reads checkpoints whole and compares every byte with its digest. Reads distributed "
      "checkpoints of PyTorch's and models in several files too.");
  command->add_option("PATH", arguments->paths, "Checkpoints, or directories of checkpoints")
      ->required();
  command->add_flag("--json", arguments->json, "Print JSON");
  command->footer("Example: torch-checkpoint verify runs/digits");
  command->callback([arguments, argv, &run] {
    run = [arguments, argv] {
      if (are_of_others(arguments->paths)) become_tensors_program(argv);
      return verify_all(*arguments);
    };
  });
}

}  // namespace checkpoint::cli
