#include "command.h"

int main(int argc, char** argv) {
  using namespace checkpoint::cli;
  return run_command_line(own_words(argc, argv), argv, [argv](CLI::App& app, Run& run) {
    add_list(app, run);
    add_show(app, run, argv);
    add_verify(app, run, argv);
    add_pin(app, run);
    add_unpin(app, run);
    add_prune(app, run);
    add_remove(app, run);
    add_report(app, run);
    forward_to_tensors_program(app, run, argv, kDiff, kDiffText);
    forward_to_tensors_program(app, run, argv, kConvert, kConvertText);
  });
}
