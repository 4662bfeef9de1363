// torch-checkpoint verify, for directories of PyTorch's Distributed Checkpoint and models in
// several files: reads them whole, and compares records with their checksums. Prints as verify
// prints for checkpoints.

#include "command.h"
#include "output.h"

#include "tensor_errors.h"

#include "format/listing.h"

#include <checkpoint/error.h>

#include <cstdio>
#include <filesystem>
#include <memory>

namespace checkpoint::cli {
namespace {

// The command line of verify.
struct VerifyFileArguments {
  std::vector<std::string> paths;
  bool json = false;
};

struct FileResult {
  std::string path;
  uint64_t bytes = 0;
  std::string error;  // Empty if all is whole.
  ExitCode code = kAllWell;
};

// A model that lacks a shard is damaged. A path that does not exist is a mistake.
bool is_damage(const Error& error) {
  return error.code() == ErrorCode::kCorrupt ||
         (error.code() == ErrorCode::kNotFound && std::filesystem::exists(error.path()));
}

FileResult verify_one(const std::string& path) {
  try {
    return {path, format::verify_content(path), "", kAllWell};
  } catch (const Error& error) {
    return {path, 0, error.what(), is_damage(error) ? kDamageFound : kWrongUse};
  }
}

void print_result(const FileResult& result) {
  if (result.error.empty()) {
    std::printf("ok       %s (%s)\n", printable(result.path).c_str(),
                human_bytes(result.bytes).c_str());
  } else {
    std::printf("%s  %s: %s\n", result.code == kDamageFound ? "DAMAGED" : "FAILED ",
                printable(result.path).c_str(), printable(result.error).c_str());
  }
}

ExitCode verify_files(const VerifyFileArguments& arguments) {
  nlohmann::ordered_json entries = nlohmann::ordered_json::array();
  ExitCode worst = kAllWell;
  for (const std::string& path : arguments.paths) {
    const FileResult result = verify_one(path);
    if (worst != kDamageFound && result.code != kAllWell) worst = result.code;
    if (!arguments.json) print_result(result);
    const bool whole = result.error.empty();
    entries.push_back(
        {{"path", path},
         {"whole", whole},
         {"bytes", result.bytes},
         {"error", whole ? nlohmann::ordered_json() : nlohmann::ordered_json(result.error)}});
  }
  if (arguments.json) print_json({{"checkpoints", std::move(entries)}});
  return worst;
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
