// Restores the newest checkpoint that is intact, by sequence, or the best one by a metric. Each
// candidate is tried in turn:
//
//   intact, and fits       -> restored
//   does not fit the State -> Error(incompatible): an older one would fit no better
//   removed, or replaced by another one
//                          -> a writer's retention was faster: the directory is scanned again
//   damaged                -> read once more, from the disk. If it is damaged again, the holder of
//                             the lock sets it aside as .corrupt. Skipped in either case
//   a file missing, or a bad sector
//                          -> skipped, never renamed
//   any other failure      -> thrown: neither "too many open files" nor a device that failed
//                             concerns one checkpoint
//
// If there are checkpoints and none can be restored, that is an error, never a silent start from
// scratch. If none are listed, but there are signs of some (unseen.h), that is an error too. If
// there are none at all, the result is empty.

#include "manager/resume.h"

#include "base/log.h"
#include "manager/restore_one.h"
#include "state/plan/restore_plan.h"
#include "store/directory/unseen.h"
#include "store/directory/verify.h"
#include "store/records/manifest.h"
#include "store/records/names.h"
#include "store/retention/ranking.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <utility>
#include <vector>

namespace checkpoint::manager {
namespace {

// Returns whether reading failed when part of the live state was already written. Restoring another
// checkpoint repairs that state.
bool is_half_way(const Error& error) {
  return dynamic_cast<const state::HalfRestored*>(&error) != nullptr;
}

// Ends the loop if checkpoints keep disappearing; this library's own writers never remove them so
// fast.
constexpr int kMaxScans = 1000;

// Returns whether the checkpoint was removed or replaced since it was found.
bool has_changed(const store::Directory& directory, const store::FoundCheckpoint& found) {
  const std::optional<store::FoundCheckpoint> now = directory.find(found.name);
  return !now || now->problem.has_value() != found.problem.has_value() ||
         store::encode_manifest(now->manifest) != store::encode_manifest(found.manifest);
}

// Logs why a checkpoint is skipped. Sets it aside if `damaged` allows it and the disk confirms the
// damage.
SkippedCheckpoint pass_over(const store::Directory& directory, const std::string& name,
                            const Error& error, Damaged damaged) {
  SkippedCheckpoint passed{name, error.what()};
  if (damaged == Damaged::kSetAside && error.code() == ErrorCode::kCorrupt &&
      store::is_damaged_on_disk(directory, name)) {
    try {
      passed.name = directory.set_aside(name);
    } catch (const Error& failure) {
      base::log_warning(failure.what());
    }
  }
  base::log_warning("checkpoint '" + directory.path_of(name) + "' is skipped" +
                    (passed.name != name ? " and set aside as " + passed.name : "") + ": " +
                    error.what());
  return passed;
}

[[noreturn]] void throw_none_restorable(const store::Directory& directory,
                                        const std::vector<SkippedCheckpoint>& skipped,
                                        const std::vector<std::string>& set_aside) {
  std::string text = "none of the checkpoints in this directory can be restored:";
  for (const SkippedCheckpoint& passed : skipped)
    text += "\n  " + passed.name + ": " + passed.reason;
  for (const std::string& name : set_aside)
    text += "\n  " + name + ": set aside as damaged earlier";
  throw Error(ErrorCode::kCorrupt, text, directory.path(), 0,
              "To start from scratch, use another directory or move these away.");
}

[[noreturn]] void refuse_unseen(const store::Directory& directory,
                                const std::vector<store::Unseen>& unseen) {
  std::string text = "no checkpoint can be read here, but there are signs of some:";
  for (const store::Unseen& one : unseen) text += "\n  " + one.name + ": " + one.why;
  throw Error(ErrorCode::kNotFound, text, directory.path(), 0,
              "To start from scratch, use another directory or move these away.");
}

void warn_of_files(const store::Directory& directory) {
  const std::vector<std::string> files = store::files_like_checkpoints(directory);
  if (files.empty()) return;
  std::string text;
  for (const std::string& file : files) text += (text.empty() ? "'" : ", '") + file + "'";
  base::log_warning("nothing was restored from '" + directory.path() + "', which holds " + text +
                    ": a checkpoint is a directory. Read single files with checkpoint::load.");
}

// Returns whether a start from scratch is right, after nothing was found. Returns false if a writer
// that runs at the same time has made a checkpoint since. Throws Error(not_found) if there are
// signs of checkpoints.
bool is_fresh(const store::Directory& directory) {
  const std::vector<store::Unseen> unseen = store::find_unseen(directory);
  if (unseen.empty()) {
    warn_of_files(directory);
    return true;
  }
  if (directory.scan().empty()) refuse_unseen(directory, unseen);
  return false;
}

// A checkpoint whose directory this user may not read is tried last, although it may be the newest.
void warn_of_closed(const std::vector<store::FoundCheckpoint>& candidates) {
  for (const store::FoundCheckpoint& candidate : candidates) {
    if (!candidate.problem || candidate.problem->system_error() != EACCES) continue;
    base::log_warning("a newer checkpoint may exist than the one that was restored: " +
                      std::string(candidate.problem->what()));
  }
}

}  // namespace

bool concerns_one_checkpoint(const std::exception& exception) {
  if (const auto* const failed = dynamic_cast<const RankFailed*>(&exception)) {
    return failed->concerns_one_checkpoint();
  }
  const auto* const error = dynamic_cast<const Error*>(&exception);
  if (error == nullptr) return false;
  switch (error->code()) {
    case ErrorCode::kCorrupt:
    case ErrorCode::kNotFound:
      return true;
    case ErrorCode::kIo:
      return error->system_error() == EIO || error->system_error() == ESTALE || is_half_way(*error);
    default:
      return false;
  }
}

namespace {

[[noreturn]] void throw_removed_too_fast(const store::Directory& directory) {
  throw Error(ErrorCode::kIo, "checkpoints are removed faster than they can be read",
              directory.path(), 0, "Keep more of them (keep_last).");
}

// What the candidates tried so far have led to.
struct Outcome {
  std::optional<Restored> restored;
  std::vector<SkippedCheckpoint> skipped;
  std::string half_way;  // The error that left the live state partly written.
};

// Tries each candidate in turn. Returns false if the directory must be scanned again.
bool try_each(const store::Directory& directory,
              const std::vector<store::FoundCheckpoint>& candidates, const RestoreOne& restore_one,
              Damaged damaged, Outcome& outcome) {
  for (const store::FoundCheckpoint& candidate : candidates) {
    try {
      if (candidate.problem) throw *candidate.problem;
      Restored restored = restore_one(candidate.name);
      warn_of_closed(candidates);
      restored.skipped = outcome.skipped;
      outcome.restored = std::move(restored);
      return true;
    } catch (const Error& error) {
      if (!concerns_one_checkpoint(error)) throw;
      if (is_half_way(error)) outcome.half_way = error.what();
      if (has_changed(directory, candidate)) return false;
      outcome.skipped.push_back(pass_over(directory, candidate.name, error, damaged));
    }
  }
  return true;
}

// Restores the first candidate that can be restored. `choose` puts the found checkpoints in order,
// and may leave some out.
template <typename Choose>
Outcome restore_first(const store::Directory& directory, const RestoreOne& restore_one,
                      Damaged damaged, const Choose& choose) {
  Outcome outcome;
  for (int scan = 0; scan < kMaxScans; ++scan) {
    try {
      if (try_each(directory, choose(directory.scan()), restore_one, damaged, outcome)) {
        return outcome;
      }
    } catch (const Error& error) {
      if (outcome.half_way.empty()) throw;
      throw Error(error.code(), outcome.half_way + "\nand then: " + error.what());
    }
    // The new scan does not find what was set aside, but it finds the others again.
    auto& passed = outcome.skipped;
    passed.erase(
        std::remove_if(passed.begin(), passed.end(),
                       [](const SkippedCheckpoint& one) { return !store::is_set_aside(one.name); }),
        passed.end());
  }
  throw_removed_too_fast(directory);
}

}  // namespace

std::optional<Restored> restore_newest(const store::Directory& directory,
                                       const RestoreOne& restore_one, Damaged damaged) {
  const auto newest_first = [](std::vector<store::FoundCheckpoint> found) {
    std::reverse(found.begin(), found.end());
    return found;
  };
  for (int scan = 0; scan < kMaxScans; ++scan) {
    const std::vector<std::string> set_aside = directory.set_aside_names();
    Outcome outcome = restore_first(directory, restore_one, damaged, newest_first);
    if (outcome.restored) return std::move(outcome.restored);
    if (!outcome.skipped.empty() || !set_aside.empty()) {
      throw_none_restorable(directory, outcome.skipped, set_aside);
    }
    if (is_fresh(directory)) return std::nullopt;
  }
  throw_removed_too_fast(directory);
}

namespace {

// No readable checkpoint has the metric. If no checkpoint can be read at all, that is an error.
void refuse_if_hidden(const store::Directory& directory) {
  std::vector<SkippedCheckpoint> damaged;
  for (const store::FoundCheckpoint& found : directory.scan()) {
    if (!found.problem) return;
    damaged.push_back({found.name, found.problem->what()});
  }
  const std::vector<std::string> set_aside = directory.set_aside_names();
  if (!damaged.empty() || !set_aside.empty()) throw_none_restorable(directory, damaged, set_aside);
  is_fresh(directory);
}

}  // namespace

std::optional<Restored> restore_best(const store::Directory& directory,
                                     const RestoreOne& restore_one, const BestRule& rule) {
  const auto ranked_with_value = [&](const std::vector<store::FoundCheckpoint>& found) {
    std::vector<store::FoundCheckpoint> candidates;
    for (const size_t i : store::ranked(found, rule)) {
      const Progress& progress = found[i].manifest.progress;
      if (!std::isnan(store::metric_value(progress, rule.metric))) candidates.push_back(found[i]);
    }
    return candidates;
  };
  Outcome outcome = restore_first(directory, restore_one, Damaged::kLeave, ranked_with_value);
  if (outcome.restored) return std::move(outcome.restored);
  if (!outcome.skipped.empty()) throw_none_restorable(directory, outcome.skipped, {});
  refuse_if_hidden(directory);
  return std::nullopt;
}

}  // namespace checkpoint::manager
