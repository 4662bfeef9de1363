// The second program, with the commands that read tensors. torch-checkpoint starts it with its own
// command line.

#include "command.h"

int main(int argc, char** argv) {
  using namespace checkpoint::cli;
  return run_command_line(argc, argv, [](CLI::App& app, Run& run) {
    add_diff(app, run);
    add_convert(app, run);
    add_show_file(app, run);
    add_verify_file(app, run);
  });
}
