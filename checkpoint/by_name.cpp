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

// The commands that do something with each checkpoint that is named.

namespace checkpoint::cli {
namespace {

struct Arguments {
  std::string directory;
  std::vector<std::string> names;
  bool lock = true;
  bool json = false;
};

using Names = std::vector<std::string>;

// Does something with each name. What was done before one of them failed is done: JSON tells it in
// any case.
template <typename Act>
void for_each_name(const Arguments& arguments, const nlohmann::ordered_json& done, const Act& act) {
  try {
    for (const std::string& name : arguments.names) act(name);
  } catch (const Error&) {
    if (arguments.json) print_json(done);
    throw;
  }
  if (arguments.json) print_json(done);
}

void print(const Arguments& arguments, const char* what, const std::string& name) {
  if (!arguments.json) std::printf("%s %s\n", what, printable(name).c_str());
}

store::Directory directory_of(const Arguments& arguments) {
  need_directory_of_checkpoints(store::posix_file_system(), arguments.directory);
  return store::Directory(store::posix_file_system(), arguments.directory);
}

ExitCode pin(const Arguments& arguments) {
  const store::Directory directory = directory_of(arguments);
  nlohmann::ordered_json done = {{"pinned", Names()}};
  for_each_name(arguments, done, [&](const std::string& name) {
    store::pin(directory, name);
    done["pinned"].push_back(name);
    print(arguments, "pinned  ", name);
  });
  return kAllWell;
}

ExitCode unpin(const Arguments& arguments) {
  const store::Directory directory = directory_of(arguments);
  nlohmann::ordered_json done = {{"unpinned", Names()}, {"not_pinned", Names()}};
  for_each_name(arguments, done, [&](const std::string& name) {
    const bool was_pinned = store::unpin(directory, name);
    done[was_pinned ? "unpinned" : "not_pinned"].push_back(name);
    print(arguments, was_pinned ? "unpinned" : "was not pinned:", name);
  });
  return done["not_pinned"].empty() ? kAllWell : kWrongUse;
}

ExitCode remove(const Arguments& arguments) {
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

std::shared_ptr<Arguments> add_arguments(CLI::App& command) {
  auto arguments = std::make_shared<Arguments>();
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

void add_remove(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand(
      "remove",
      "Removes the checkpoints that are named, whatever the rules say: the newest too, damaged "
      "ones, and those that were set aside as NAME.corrupt. Pinned ones stay. No training may run "
      "in the directory.");
  const auto arguments = add_arguments(*command);
  command->add_flag("!--no-lock", arguments->lock,
                    "For file systems without flock: make sure that no other program writes there");
  command->footer("Example: torch-checkpoint remove runs/digits epoch0005");
  command->callback([arguments, &run] { run = [arguments] { return remove(*arguments); }; });
}

}  // namespace checkpoint::cli
