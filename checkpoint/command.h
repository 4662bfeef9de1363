#pragma once

#include <CLI/CLI.hpp>

#include <functional>

namespace checkpoint::cli {

/// What a command's run returns to the shell.
enum ExitCode { kAllWell = 0, kDamageFound = 1, kDifferent = 1, kWrongUse = 2 };

/// Runs the chosen command. Empty until the command line is parsed.
using Run = std::function<ExitCode()>;

// Each adds its command to the program; if that is the one chosen, `run` becomes its action.
void add_list(CLI::App& app, Run& run);
void add_pin(CLI::App& app, Run& run);
void add_prune(CLI::App& app, Run& run);
void add_remove(CLI::App& app, Run& run);
void add_report(CLI::App& app, Run& run);
void add_show(CLI::App& app, Run& run);
void add_unpin(CLI::App& app, Run& run);
void add_verify(CLI::App& app, Run& run);

// These read tensors, and are a program of their own (tensors/), which the first one starts: it
// would take long to start if it were linked with LibTorch.
inline constexpr char kTensorsProgram[] = "torch-checkpoint-tensors";
inline constexpr char kLibexecFolder[] = "libexec/torch-checkpoint";
inline constexpr char kDiff[] = "diff";
inline constexpr char kConvert[] = "convert";
inline constexpr char kDiffText[] = "Compares two checkpoints or files, tensor by tensor.";
inline constexpr char kConvertText[] =
    "Writes a checkpoint or file, or one item of it, in another format.";
void add_diff(CLI::App& app, Run& run);
void add_convert(CLI::App& app, Run& run);
/// Adds a command of the other program to this one, which hands it its own command line.
void forward_to_tensors_program(CLI::App& app, Run& run, char** argv, const std::string& name,
                                const std::string& text);

/// How many words of the command line are this program's to parse: those after a command of the
/// other one are not.
int own_words(int argc, char** argv);

/// Parses the command line, runs the command that it names, and says on standard error what went
/// wrong. Returns the exit status. `add` adds the commands.
int run_command_line(int argc, char** argv, const std::function<void(CLI::App&, Run&)>& add);

}  // namespace checkpoint::cli
