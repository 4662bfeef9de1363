#include "command.h"
#include "output.h"
#include "places.h"

#include "store/directory/directory.h"
#include "store/directory/remove.h"
#include "store/directory/retire.h"
#include "store/directory/writer_hold.h"

#include <checkpoint/error.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

namespace checkpoint::cli {
namespace {

struct Arguments {
  std::string directory;
  std::vector<std::string> names;
  bool lock = true;
  bool json = false;
};

// Each name by itself. What was removed before one of them failed is removed: JSON says so in any
// case.
void remove(const Arguments& arguments, std::vector<std::string>& removed) {
  store::FileSystem& fs = store::posix_file_system();
  need_directory_of_checkpoints(fs, arguments.directory);
  store::Directory directory(fs, arguments.directory);
  const store::WriterHold hold(fs, arguments.directory,
                               arguments.lock ? store::TakeLock::kYes : store::TakeLock::kNo);
  directory.write_under(hold);
  store::put_back_pinned(directory);
  for (const std::string& name : arguments.names) {
    store::remove_checkpoint(directory, name);
    removed.push_back(name);
    if (!arguments.json) std::printf("removed %s\n", printable(name).c_str());
  }
}

ExitCode run_remove(const Arguments& arguments) {
  std::vector<std::string> removed;
  try {
    remove(arguments, removed);
  } catch (const Error&) {
    if (arguments.json) print_json({{"removed", removed}});
    throw;
  }
  if (arguments.json) print_json({{"removed", removed}});
  return kAllWell;
}

}  // namespace

void add_remove(CLI::App& app, Run& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand(
      "remove",
      "Removes the checkpoints that are named, whatever the rules say: the newest too, damaged "
      "ones, and those that were set aside as NAME.corrupt. Pinned ones stay. No training may run "
      "in the directory.");
  command->add_option("DIR", arguments->directory, "The directory of checkpoints")->required();
  command->add_option("NAME", arguments->names, "Names of checkpoints, as list shows them")
      ->required();
  command->add_flag("!--no-lock", arguments->lock,
                    "For file systems without flock: see to it that nobody writes there");
  command->add_flag("--json", arguments->json, "Print JSON");
  command->footer("Example: torch-checkpoint remove runs/digits epoch0005");
  command->callback([arguments, &run] { run = [arguments] { return run_remove(*arguments); }; });
}

}  // namespace checkpoint::cli
