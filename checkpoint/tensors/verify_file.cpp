// torch-checkpoint verify, for directories of PyTorch's Distributed Checkpoint and models in
// several files: reads them whole, and compares records with their checksums. Prints as verify
// prints for checkpoints.

#include "command.h"
#include "verified.h"

#include "tensor_errors.h"

#include "format/listing.h"

#include <checkpoint/error.h>

#include <filesystem>
#include <memory>

namespace checkpoint::cli {
namespace {

// The command line of verify.
struct VerifyFileArguments {
  std::vector<std::string> paths;
  bool json = false;
};

// A model that lacks a shard is damaged. A path that does not exist is a mistake.
bool is_damage(const Error& error) {
  return error.code() == ErrorCode::kCorrupt ||
         (error.code() == ErrorCode::kNotFound && std::filesystem::exists(error.path()));
}

Verified verify_one(const std::string& path) {
  try {
    return {path, format::verify_content(path), "", kAllWell};
  } catch (const Error& error) {
    return {path, 0, error.what(), is_damage(error) ? kDamageFound : kWrongUse};
  }
}

ExitCode verify_files(const VerifyFileArguments& arguments) {
  std::vector<Verified> results;
  for (const std::string& path : arguments.paths) {
    results.push_back(verify_one(path));
    if (!arguments.json) print(results.back());
  }
  if (arguments.json) print_as_json(results);
  return worst_of(results);
}

}  // namespace

void add_verify_file(CLI::App& app, Run& run) {
  auto arguments = std::make_shared<VerifyFileArguments>();
  CLI::App* command = app.add_subcommand(
      "verify", "Reads distributed checkpoints and models in several files whole.");
  command->add_option("PATH", arguments->paths)->required();
  command->add_flag("--json", arguments->json);
  command->callback([arguments, &run] {
    run = without_backtraces([arguments] { return verify_files(*arguments); });
  });
}

}  // namespace checkpoint::cli
