// Restores one checkpoint. With several ranks, each stage ends with the question whether all have
// passed it:
//
//   1. open the files, verify a share of them, decode, plan. Nothing live changes before all ranks
//      have come so far
//   2. write into the live objects. If that fails on one rank, no rank may use what it has

#include "manager/restore_one.h"

#include "base/log.h"
#include "base/parallel.h"
#include "format/torch/archive_reader.h"
#include "format/torch/rank_files.h"
#include "manager/resume.h"
#include "state/plan/restore_plan.h"
#include "state/restore.h"
#include "store/directory/verify.h"
#include "store/records/names.h"
#include "store/records/tensor_table.h"

#include <exception>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

namespace checkpoint::manager {
namespace {

using Before = std::function<void()>;

struct Opened {
  store::VerifiedCheckpoint checkpoint;
  std::vector<store::ContentFile> contents;
};

Opened open(const store::Directory& directory, const std::string& name,
            const RestoreOptions& options, const group::Group& group) {
  // With several ranks, no rank reads all of a file, so its digest is checked before.
  const bool is_share = !group.is_alone() && options.verify() == Verify::kWhileReading;
  const Verify verify = is_share ? Verify::kBefore : options.verify();
  Opened opened{
      store::open_checkpoint(directory, name, verify, options.on_transfer(),
                             {static_cast<size_t>(group.rank()), static_cast<size_t>(group.size())},
                             options.read_once()),
      {}};
  opened.contents = opened.checkpoint.contents(verify);
  return opened;
}

// Of one process: a file that has everything.
RestoreReport restore_file(const Opened& opened, State& state, const RestoreOptions& options,
                           const Before& before_writing) {
  const std::string table_text = opened.checkpoint.tensor_table_text();
  // With many small tensors both take long, so they run in parallel.
  std::optional<format::DecodedArchive> archive;
  store::TensorTable table;
  base::side_by_side(
      [&] {
        table = store::decode_tensor_table(table_text,
                                           opened.checkpoint.file(store::kTensorTableFile).name());
      },
      [&] { archive.emplace(format::read_archive(*opened.contents.front().file)); });
  return state::restore(state, opened.checkpoint.manifest, table, opened.contents, *archive,
                        options, {{}, before_writing});
}

void say_what_is_kept(const Manifest& manifest, int64_t rank, int64_t ranks,
                      const RestoreReport& report) {
  std::string text;
  for (const std::string& item : report.kept_items)
    text += (text.empty() ? "'" : ", '") + item + "'";
  if (!text.empty()) {
    base::log_warning("checkpoint '" + manifest.name + "' has nothing of rank " +
                      std::to_string(rank) + ", because " + std::to_string(manifest.world_size) +
                      " ranks have saved it: " + text + " keep what they hold");
  }
  if (rank == 0 && ranks < manifest.world_size) {
    base::log_warning("checkpoint '" + manifest.name + "' was saved by " +
                      std::to_string(manifest.world_size) + " ranks: what those from " +
                      std::to_string(ranks) + " on had for themselves is not restored");
  }
}

// Of several files: all that the ranks share, and what this rank had for itself.
RestoreReport restore_files(const Opened& opened, State& state, const RestoreOptions& options,
                            const group::Group& group, const Before& before_writing) {
  std::vector<std::string> names;
  for (const FileEntry* entry : opened.checkpoint.content_entries()) names.push_back(entry->name);
  const format::Sources sources = [&](size_t i) -> const store::ByteSource& {
    return *opened.contents.at(i).file;
  };
  format::RankView view = format::read_rank_files(sources, names, opened.checkpoint.manifest,
                                                  opened.checkpoint.tensor_table(), group.rank());
  Manifest manifest = opened.checkpoint.manifest;
  manifest.items = std::move(view.items);
  store::TensorTable table;
  static_cast<store::ItemNames&>(table) = std::move(view.names);
  RestoreReport report = state::restore(state, manifest, table, opened.contents, view.archive,
                                        options, {view.absent, before_writing});
  say_what_is_kept(manifest, group.rank(), group.size(), report);
  return report;
}

// Waits until this rank sees the checkpoint that rank 0 sees.
void require_same(const store::Directory& directory, const std::string& name,
                  const std::string& identity, group::Meeting& meeting) {
  const group::Group& group = meeting.group();
  const bool seen = group.is_seen([&] {
    meeting.throw_if_failed();
    const std::optional<store::FoundCheckpoint> found = directory.find(name);
    // Rank 0 has read its manifest. If it cannot be read here, the error comes when it is opened.
    return found && (found->problem || identity_of(found->manifest) == identity);
  });
  if (seen) return;
  throw Error(ErrorCode::kUnsupported,
              "rank " + std::to_string(group.rank()) + " does not see the checkpoint '" + name +
                  "' that rank 0 sees in this directory",
              directory.path(), 0,
              "All ranks need the same directory, on a file system that their machines share.");
}

Restored restore_alone(const store::Directory& directory, const std::string& name, State& state,
                       const RestoreOptions& options, const group::Group& group,
                       const Before& before_writing) {
  const Opened opened = open(directory, name, options, group);
  Restored restored;
  restored.manifest = opened.checkpoint.manifest;
  restored.report = opened.contents.size() == 1
                        ? restore_file(opened, state, options, before_writing)
                        : restore_files(opened, state, options, group, before_writing);
  return restored;
}

}  // namespace

namespace {

constexpr char kPlanned[] = "-planned";
constexpr char kDone[] = "-done";

enum class Stage { kPlanning, kAsking, kWriting };

// Tells the other ranks of a failure of this one, and throws what this one must throw.
[[noreturn]] void throw_for_all(const std::exception& error, const std::exception_ptr& own,
                                const std::string& topic, Stage stage, group::Meeting& meeting) {
  const int rank = meeting.group().rank();
  group::Failure failure = group::failure_of(rank, error);
  failure.concerns_one_checkpoint = concerns_one_checkpoint(error);
  std::optional<group::Failure> lowest;
  try {
    lowest = meeting.agree(topic + (stage == Stage::kWriting ? kDone : kPlanned), failure);
  } catch (const group::LostTouch&) {
    if (stage == Stage::kPlanning) throw;
  }
  // After a failure in the middle, this rank's own error says that its state must not be used.
  if (stage == Stage::kWriting || !lowest || lowest->rank == rank) std::rethrow_exception(own);
  throw RankFailed(*lowest);
}

// If another rank has failed to write, no rank may go on with what it has.
void require_all_done(const std::string& topic, const std::string& path, group::Meeting& meeting) {
  std::optional<group::Failure> failure;
  try {
    failure = meeting.agree(topic + kDone, std::nullopt);
  } catch (const group::LostTouch& error) {
    throw Error(error.code(),
                std::string("the other ranks may not have restored this; what this rank has "
                            "restored must not be used: ") +
                    error.what(),
                path, 0, "Start all ranks again.");
  }
  if (!failure) return;
  throw state::HalfRestored(failure->code,
                            "another rank failed in the middle; what this rank has restored must "
                            "not be used: rank " +
                                std::to_string(failure->rank) + ": " + failure->message,
                            path);
}

}  // namespace

RankFailed::RankFailed(const group::Failure& failure)
    : Error(group::error_of(failure)), concerns_one_checkpoint_(failure.concerns_one_checkpoint) {}

std::string identity_of(const Manifest& manifest) {
  return manifest.run_id + '/' + std::to_string(manifest.sequence) + '/' + manifest.created;
}

Restored restore_one(const store::Directory& directory, const std::string& name, State& state,
                     const RestoreOptions& options, group::Meeting& meeting, int attempt,
                     const std::string& identity) {
  const group::Group& group = meeting.group();
  if (group.is_alone()) return restore_alone(directory, name, state, options, group, {});

  const std::string topic = "restore-" + std::to_string(attempt);
  Stage stage = Stage::kPlanning;
  const auto before_writing = [&] {
    stage = Stage::kAsking;
    if (const auto failure = meeting.agree(topic + kPlanned, std::nullopt)) {
      throw RankFailed(*failure);
    }
    stage = Stage::kWriting;
  };
  Restored restored;
  try {
    if (!identity.empty()) require_same(directory, name, identity, meeting);
    restored = restore_alone(directory, name, state, options, group, before_writing);
  } catch (const std::exception& error) {
    if (stage == Stage::kAsking) throw;  // Another rank's failure, or it cannot be reached.
    const std::exception_ptr own = std::current_exception();
    throw_for_all(error, own, topic, stage, meeting);
  }
  require_all_done(topic, directory.path_of(name), meeting);
  return restored;
}

}  // namespace checkpoint::manager
