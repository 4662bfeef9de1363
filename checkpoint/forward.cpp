// Starts the second program, which reads tensors, in place of this one.

#include "command.h"

#include <checkpoint/error.h>

#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace checkpoint::cli {
namespace {

namespace fs = std::filesystem;

// Returns the path of the second program: next to this one in a build folder, in libexec when
// installed, because users do not call it.
fs::path tensors_program() {
  const fs::path here = fs::read_symlink("/proc/self/exe").parent_path();
  const fs::path beside = here / kTensorsProgram;
  return fs::exists(beside) ? beside : here.parent_path() / kLibexecFolder / kTensorsProgram;
}

}  // namespace

// Passes all words on unchanged: the second program parses "--" and the options.
[[noreturn]] void become_tensors_program(char** argv) {
  const std::string program = tensors_program();
  ::execv(program.c_str(), argv);
  throw Error(ErrorCode::kNotFound, "cannot start the program that reads tensors", program, errno,
              "Reinstall torch-checkpoint: this program is a part of it.");
}

int own_words(int argc, char** argv) {
  const std::string command = argc > 1 ? argv[1] : "";
  return command == kDiff || command == kConvert ? 2 : argc;
}

void forward_to_tensors_program(CLI::App& app, Run& run, char** argv, const std::string& name,
                                const std::string& text) {
  CLI::App* command = app.add_subcommand(name, text);
  command->set_help_flag();  // The second program prints the help.
  command->callback([argv, &run] { run = [argv]() -> ExitCode { become_tensors_program(argv); }; });
}

}  // namespace checkpoint::cli
