#include "command.h"

#include <checkpoint/error.h>
#include <checkpoint/version.h>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdio>
#include <exception>

namespace {

using checkpoint::ErrorCode;
using checkpoint::cli::ExitCode;

// Standard output belongs to the commands: scripts read it.
void log_to_standard_error() {
  auto logger = spdlog::stderr_logger_mt("torch_checkpoint");
  logger->set_level(spdlog::level::warn);
}

ExitCode exit_code_for(const checkpoint::Error& error) {
  return error.code() == ErrorCode::kCorrupt ? ExitCode::kDamageFound : ExitCode::kWrongUse;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Looks after directories of checkpoints that TorchCheckpoint has written.",
               "torch-checkpoint");
  app.set_version_flag("--version", TORCH_CHECKPOINT_VERSION);
  app.require_subcommand(1);
  app.footer("Exit status: 0 all well, 1 damage found, 2 wrong usage or not found.");
  checkpoint::cli::Run run;
  checkpoint::cli::add_list(app, run);
  checkpoint::cli::add_show(app, run);
  checkpoint::cli::add_verify(app, run);
  checkpoint::cli::add_pin(app, run);
  checkpoint::cli::add_unpin(app, run);
  checkpoint::cli::add_prune(app, run);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? ExitCode::kAllWell : ExitCode::kWrongUse;
  }
  try {
    log_to_standard_error();
    return run();
  } catch (const checkpoint::Error& error) {
    std::fprintf(stderr, "torch-checkpoint: %s\n", error.what());
    return exit_code_for(error);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "torch-checkpoint: %s\n", error.what());
    return ExitCode::kWrongUse;
  }
}
