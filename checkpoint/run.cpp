#include "command.h"

#include <checkpoint/error.h>
#include <checkpoint/version.h>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdio>
#include <exception>

namespace checkpoint::cli {
namespace {

// Standard output belongs to the commands: scripts read it.
void log_to_standard_error() {
  auto logger = spdlog::stderr_logger_mt("torch_checkpoint");
  logger->set_level(spdlog::level::warn);
}

ExitCode exit_code_for(const Error& error) {
  return error.code() == ErrorCode::kCorrupt ? kDamageFound : kWrongUse;
}

}  // namespace

int run_command_line(int argc, char** argv, const std::function<void(CLI::App&, Run&)>& add) {
  CLI::App app("Looks after directories of checkpoints that TorchCheckpoint has written.",
               "torch-checkpoint");
  app.set_version_flag("--version", TORCH_CHECKPOINT_VERSION);
  app.require_subcommand(1);
  app.footer(
      "Exit status: 0 all well, 1 damage or a difference found, 2 wrong usage or not found.");
  Run run;
  add(app, run);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kAllWell : kWrongUse;
  }
  try {
    log_to_standard_error();
    return run();
  } catch (const Error& error) {
    std::fprintf(stderr, "torch-checkpoint: %s\n", error.what());
    return exit_code_for(error);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "torch-checkpoint: %s\n", error.what());
    return kWrongUse;
  }
}

}  // namespace checkpoint::cli
