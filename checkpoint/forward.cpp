#include "command.h"

#include <checkpoint/error.h>

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <vector>

namespace checkpoint::cli {
namespace {

namespace fs = std::filesystem;

// Beside this program, as it is built, or where an installed one has what is not for people to
// call.
fs::path tensors_program() {
  const fs::path here = fs::read_symlink("/proc/self/exe").parent_path();
  const fs::path beside = here / kTensorsProgram;
  return fs::exists(beside) ? beside : here.parent_path() / kLibexecFolder / kTensorsProgram;
}

// Does not return.
[[noreturn]] void become_tensors_program(const std::string& command,
                                         const std::vector<std::string>& arguments) {
  const std::string program = tensors_program();
  std::vector<std::string> words = {"torch-checkpoint", command};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  ::execv(program.c_str(), argv.data());
  throw Error(ErrorCode::kNotFound, "cannot start the program that reads tensors", program, errno,
              "It is installed together with torch-checkpoint.");
}

}  // namespace

void forward_to_tensors_program(CLI::App& app, Run& run, const std::string& name,
                                const std::string& text) {
  CLI::App* command = app.add_subcommand(name, text);
  command->set_help_flag();  // The other program has the help.
  command->prefix_command();
  command->callback([command, name, &run] {
    run = [command, name]() -> ExitCode { become_tensors_program(name, command->remaining()); };
  });
}

}  // namespace checkpoint::cli
