#include "command.h"
#include "log.h"
#include "output.h"

#include <checkpoint/error.h>
#include <checkpoint/version.h>

#include <cstdio>
#include <exception>
#include <sstream>
#include <string>

namespace checkpoint::cli {
namespace {

ExitCode exit_code_for(const Error& error) {
  return error.code() == ErrorCode::kCorrupt ? kDamageFound : kWrongUse;
}

// Prints CLI11's messages, but `printable`, because they repeat what the user typed.
ExitCode say(const CLI::App& app, const CLI::ParseError& error) {
  std::ostringstream output, errors;
  const int status = app.exit(error, output, errors);
  std::fputs(output.str().c_str(), stdout);
  const std::string text = printable_lines(errors.str());
  if (!text.empty()) std::fprintf(stderr, "%s\n", text.c_str());
  return status == 0 ? kAllWell : kWrongUse;
}

// Checked here, because CLI11 would only say that a command is missing.
bool is_no_command(const CLI::App& app, const std::string& word) {
  const auto has_name = [&](const CLI::App* command) { return command->get_name() == word; };
  return word[0] != '-' && app.get_subcommands(has_name).empty();
}

ExitCode run_caught(const Run& run) {
  try {
    log_to_standard_error();
    return run();
  } catch (const Error& error) {
    print_error(error.what());
    return exit_code_for(error);
  } catch (const std::exception& error) {
    print_error(error.what());
    return kWrongUse;
  }
}

ExitCode parse_and_run(CLI::App& app, const Run& run, int argc, char** argv) {
  if (argc > 1 && is_no_command(app, argv[1])) {
    print_error("unknown command '" + std::string(argv[1]) +
                "'. Run torch-checkpoint --help for a list of commands.");
    return kWrongUse;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return say(app, error);
  }
  return run_caught(run);
}

}  // namespace

int run_command_line(int argc, char** argv, const std::function<void(CLI::App&, Run&)>& add) {
  CLI::App app("Manages directories of checkpoints that TorchCheckpoint has written.",
               "torch-checkpoint");
  app.set_version_flag("--version", TORCH_CHECKPOINT_VERSION);
  app.require_subcommand(1);
  app.footer(
      "Exit status: 0 all well, 1 damage or a difference found, 2 wrong usage or not found.");
  Run run;
  add(app, run);
  const ExitCode code = parse_and_run(app, run, argc, argv);
  // A script that checks the exit status must not take half of the output for all of it.
  return flush_output() ? code : kWrongUse;
}

}  // namespace checkpoint::cli
