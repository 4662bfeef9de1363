#pragma once

#include <CLI/CLI.hpp>

#include <functional>

namespace checkpoint::cli {

/// The exit status of a command.
enum ExitCode { kAllWell = 0, kDamageFound = 1, kDifferent = 1, kWrongUse = 2 };

/// The action that runs the chosen command. Empty until the command line is parsed.
using Run = std::function<ExitCode()>;

// Each function adds its command to the program. If the user chooses it, `run` becomes its action.
void add_list(CLI::App& app, Run& run);
void add_pin(CLI::App& app, Run& run);
void add_prune(CLI::App& app, Run& run);
void add_remove(CLI::App& app, Run& run);
void add_report(CLI::App& app, Run& run);
void add_unpin(CLI::App& app, Run& run);
// These start the second program, with the same command line, for what it must read.
void add_show(CLI::App& app, Run& run, char** argv);
void add_verify(CLI::App& app, Run& run, char** argv);

// These commands read tensors. They are in a second program (tensors/), which the first one starts:
// linked with LibTorch, the first one would start slowly.
inline constexpr char kTensorsProgram[] = "torch-checkpoint-tensors";
inline constexpr char kLibexecFolder[] = "libexec/torch-checkpoint";
inline constexpr char kDiff[] = "diff";
inline constexpr char kConvert[] = "convert";
inline constexpr char kDiffText[] = "Compares two checkpoints or files, tensor by tensor.";
inline constexpr char kConvertText[] =
    "Writes a checkpoint or file, or one item of it, in another format.";
void add_diff(CLI::App& app, Run& run);
void add_convert(CLI::App& app, Run& run);
void add_show_file(CLI::App& app, Run& run);
void add_verify_file(CLI::App& app, Run& run);
/// Starts the second program in place of this one. Throws Error(not_found) if that fails.
[[noreturn]] void become_tensors_program(char** argv);
/// Adds a command of the second program to this one. When chosen, it starts the second program with
/// the same command line.
void forward_to_tensors_program(CLI::App& app, Run& run, char** argv, const std::string& name,
                                const std::string& text);

/// Returns how many words of the command line this program must parse. The words after a command of
/// the second program belong to that program.
int own_words(int argc, char** argv);

/// Parses the command line and runs the command that it names. Prints errors to standard error.
/// Returns the exit status. `add` adds the commands.
int run_command_line(int argc, char** argv, const std::function<void(CLI::App&, Run&)>& add);

}  // namespace checkpoint::cli
