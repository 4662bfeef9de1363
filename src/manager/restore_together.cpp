#include "manager/restore_together.h"

#include "base/json.h"
#include "manager/restore_one.h"
#include "state/plan/restore_plan.h"

#include <checkpoint/error.h>

#include <exception>
#include <string>
#include <utility>

namespace checkpoint::manager {
namespace {

// What rank 0 tells the others to do next: an attempt, or the end.
struct Step {
  std::string name;       // The checkpoint to restore. Empty at the end.
  std::string identity;   // What distinguishes it from others of its name.
  bool restored = false;  // At the end: whether the last attempt was the right one.
};

std::string encode_step(const Step& step) {
  return base::dump_json(
      {{"name", step.name}, {"identity", step.identity}, {"restored", step.restored}}, -1);
}

Step decode_step(const std::string& text) {
  const std::string source = "the choice of rank 0";
  const nlohmann::json document = base::parse_json(text, source);
  const base::JsonFields fields(document, source);
  return {fields.string("name"), fields.string("identity"), fields.boolean("restored")};
}

std::string topic(int attempt) { return "choice-" + std::to_string(attempt); }

std::optional<Restored> lead(
    const store::Directory& directory, State& state, const RestoreOptions& options,
    group::Meeting& meeting,
    const std::function<std::optional<Restored>(const RestoreOne&)>& choose) {
  int attempts = 0;
  const RestoreOne restore = [&](const std::string& name) {
    const int attempt = attempts++;
    if (!meeting.group().is_alone()) {
      const std::optional<store::FoundCheckpoint> found = directory.find(name);
      meeting.announce(topic(attempt),
                       encode_step({name, found ? identity_of(found->manifest) : ""}));
    }
    return restore_one(directory, name, state, options, meeting, attempt);
  };
  return meeting.run([&] {
    std::optional<Restored> restored = choose(restore);
    meeting.announce(topic(attempts), encode_step({"", "", restored.has_value()}));
    return restored;
  });
}

void require_empty(const store::Directory& directory, const group::Group& group) {
  if (directory.scan().empty()) return;
  throw Error(ErrorCode::kUnsupported,
              "rank " + std::to_string(group.rank()) +
                  " sees checkpoints in this directory, and rank 0 sees none",
              directory.path(), 0,
              "All ranks need the same directory, on a file system that their machines share.");
}

std::optional<Restored> follow(const store::Directory& directory, State& state,
                               const RestoreOptions& options, group::Meeting& meeting) {
  std::optional<Restored> restored;
  std::exception_ptr own_failure;
  std::string own_text;
  std::string half_way;  // The error that left the live state partly written.
  for (int attempt = 0;; ++attempt) {
    std::string text;
    try {
      text = meeting.hear(topic(attempt));
    } catch (const Error& error) {
      // Rank 0 may only repeat what this rank knows already, and better.
      const bool is_known =
          own_failure && std::string(error.what()).find(own_text) != std::string::npos;
      if (is_known) std::rethrow_exception(own_failure);
      if (half_way.empty()) throw;
      throw Error(error.code(), half_way + "\nand then: " + error.what());
    }
    const Step step = decode_step(text);
    if (step.name.empty()) {
      if (!step.restored && attempt == 0) require_empty(directory, meeting.group());
      return step.restored ? std::move(restored) : std::nullopt;
    }
    try {
      restored = restore_one(directory, step.name, state, options, meeting, attempt, step.identity);
      half_way.clear();
    } catch (const std::exception& error) {
      own_failure = std::current_exception();
      own_text = error.what();
      if (dynamic_cast<const state::HalfRestored*>(&error) != nullptr) half_way = own_text;
    }
  }
}

}  // namespace

std::optional<Restored> restore_together(
    const store::Directory& directory, State& state, const RestoreOptions& options,
    group::Meeting& meeting,
    const std::function<std::optional<Restored>(const RestoreOne&)>& choose) {
  return meeting.group().leads() ? lead(directory, state, options, meeting, choose)
                                 : follow(directory, state, options, meeting);
}

}  // namespace checkpoint::manager
