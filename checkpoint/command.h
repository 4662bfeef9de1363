#pragma once

#include <CLI/CLI.hpp>

#include <functional>

namespace checkpoint::cli {

/// What a command's run returns to the shell.
enum ExitCode { kAllWell = 0, kDamageFound = 1, kWrongUse = 2 };

/// Runs the chosen command. Empty until the command line is parsed.
using Run = std::function<ExitCode()>;

// Each adds its command to the program; if that is the one chosen, `run` becomes its action.
void add_list(CLI::App& app, Run& run);
void add_pin(CLI::App& app, Run& run);
void add_prune(CLI::App& app, Run& run);
void add_show(CLI::App& app, Run& run);
void add_unpin(CLI::App& app, Run& run);
void add_verify(CLI::App& app, Run& run);

}  // namespace checkpoint::cli
