// torch-checkpoint pin, unpin and remove: the commands that do something with each named
// checkpoint. They stop at the first name that fails.

#include "command.h"
#include "output.h"
#include "places.h"

#include "store/directory/directory.h"
#include "store/directory/pins.h"
#include "store/directory/remove.h"
#include "store/directory/retire.h"
#include "store/directory/writer_hold.h"

#include <checkpoint/error.h>

#include <cstdio>
#include <memory>
#include <optional>

namespace checkpoint::cli {
namespace {

// The command line of one of these commands.
struct NameArguments {
  std::string directory;
  std::vector<std::string> names;
  bool lock = true;
  bool json = false;
};

using Names = std::vector<std::string>;

// Calls `act` for each name. If one fails, the earlier ones are done already, so JSON reports them
// in any case.
template <typename Act>
void for_each_name(const NameArguments& arguments, const nlohmann::ordered_json& done,
                   const Act& act) {
  try {
    for (const std::string& name : arguments.names) act(name);
  } catch (const Error&) {
    if (arguments.json) print_json(done);
    throw;
  }
  if (arguments.json) print_json(done);
}

void print(const NameArguments& arguments, const char* what, const std::string& name) {
  if (!arguments.json) std::printf("%s %s\n", what, printable(name).c_str());
}

store::Directory directory_of(const NameArguments& arguments) {
  need_directory_of_checkpoints(store::posix_file_system(), arguments.directory);
  return store::Directory(store::posix_file_system(), arguments.directory);
}

ExitCode pin(const NameArguments& arguments) {
  const store::Directory directory = directory_of(arguments);
  nlohmann::ordered_json done = {{"pinned", Names()}};
  for_each_name(arguments, done, [&](const std::string& name) {
    store::pin(directory, name);
    done["pinned"].push_back(name);
    print(arguments, "pinned  ", name);
  });
  return kAllWell;
}

ExitCode unpin(const NameArguments& arguments) {
  const store::Directory directory = directory_of(arguments);
  nlohmann::ordered_json done = {{"unpinned", Names()}, {"not_pinned", Names()}};
  for_each_name(arguments, done, [&](const std::string& name) {
    const bool was_pinned = store::unpin(directory, name);
    done[was_pinned ? "unpinned" : "not_pinned"].push_back(name);
    print(arguments, was_pinned ? "unpinned" : "was not pinned:", name);
  });
  return done["not_pinned"].empty() ? kAllWell : kWrongUse;
}

ExitCode remove(const NameArguments& arguments) {
  store::Directory directory = directory_of(arguments);
  std::optional<store::WriterHold> hold;
  store::begin_writing(directory, arguments.lock ? store::TakeLock::kYes : store::TakeLock::kNo,
                       hold);
  nlohmann::ordered_json done = {{"removed", Names()}};
  for_each_name(arguments, done, [&](const std::string& name) {
    store::remove_checkpoint(directory, name);
    done["removed"].push_back(name);
    print(arguments, "removed", name);
  });
  return kAllWell;
}

std::shared_ptr<NameArguments> add_arguments(CLI::App& command) {
  auto arguments = std::make_shared<NameArguments>();
  command.add_option("DIR", arguments->directory, "The directory of checkpoints")->required();
  command.add_option("NAME", arguments->names, "Names of checkpoints, as list shows them")
      ->required();
  command.add_flag("--json", arguments->json, "Print JSON");
  return arguments;
}

}  // namespace

void add_pin(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand(
      "pin",
      "Pins checkpoints: they stay, whatever the retention rules say. Works while training runs. "
      "On success, the checkpoint exists and stays.");
  const auto arguments = add_arguments(*command);
  command->footer("Example: torch-checkpoint pin runs/digits epoch0005");
  command->callback([arguments, &run] { run = [arguments] { return pin(*arguments); }; });
}

void add_unpin(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand("unpin", "Removes pins, but no checkpoints.");
  const auto arguments = add_arguments(*command);
  command->footer("Example: torch-checkpoint unpin runs/digits epoch0005");
  command->callback([arguments, &run] { run = [arguments] { return unpin(*arguments); }; });
}

void add_remove(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand(
      "remove",
      "Removes the named checkpoints, whatever the rules say: also the newest, damaged ones, and "
      "those that were set aside as NAME.corrupt. Pinned ones stay. No training may run in the "
      "directory.");
  const auto arguments = add_arguments(*command);
  command->add_flag("!--no-lock", arguments->lock,
                    "For file systems without flock: make sure that no other program writes there");
  command->footer("Example: torch-checkpoint remove runs/digits epoch0005");
  command->callback([arguments, &run] { run = [arguments] { return remove(*arguments); }; });
}

}  // namespace checkpoint::cli
