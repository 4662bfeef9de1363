#include "command.h"
#include "output.h"

#include "store/directory.h"
#include "store/pins.h"

#include <checkpoint/error.h>

#include <cstdio>
#include <memory>

namespace checkpoint::cli {
namespace {

struct Arguments {
  std::string directory;
  std::vector<std::string> names;
};

ExitCode pin(const Arguments& arguments) {
  const store::Directory directory(store::posix_file_system(), arguments.directory);
  for (const std::string& name : arguments.names) {
    store::pin(directory, name);
    std::printf("pinned   %s\n", printable(name).c_str());
  }
  return kAllWell;
}

ExitCode unpin(const Arguments& arguments) {
  const store::Directory directory(store::posix_file_system(), arguments.directory);
  ExitCode code = kAllWell;
  for (const std::string& name : arguments.names) {
    const bool was_pinned = store::unpin(directory, name);
    std::printf("%s %s\n", was_pinned ? "unpinned" : "was not pinned:", printable(name).c_str());
    if (!was_pinned) code = kWrongUse;
  }
  return code;
}

std::shared_ptr<Arguments> add_arguments(CLI::App& command) {
  auto arguments = std::make_shared<Arguments>();
  command.add_option("DIR", arguments->directory, "The directory of checkpoints")->required();
  command.add_option("NAME", arguments->names, "Names of checkpoints, as list shows them")
      ->required();
  return arguments;
}

}  // namespace

void add_pin(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand(
      "pin",
      "Keeps checkpoints, whatever the rules of retention say. May be called while training "
      "runs; when it says so, the checkpoint is there and stays.");
  const auto arguments = add_arguments(*command);
  command->footer("Example: torch-checkpoint pin runs/digits epoch0005");
  command->callback([arguments, &run] { run = [arguments] { return pin(*arguments); }; });
}

void add_unpin(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand("unpin", "Takes pins away. Removes no checkpoint.");
  const auto arguments = add_arguments(*command);
  command->footer("Example: torch-checkpoint unpin runs/digits epoch0005");
  command->callback([arguments, &run] { run = [arguments] { return unpin(*arguments); }; });
}

}  // namespace checkpoint::cli
