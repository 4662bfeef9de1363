// The newest checkpoint first, by sequence:
//
//   whole, and fits        -> restored
//   does not fit the State -> Error(incompatible): an older one would fit no better
//   damaged                -> read once more, from the disk; damaged again: set aside as .corrupt;
//                             passed over either way
//   gone, or a bad sector  -> passed over, never renamed
//   any other failure      -> thrown: too many open files say nothing about a checkpoint
//
// Some, and none restored: an error, never a silent start from scratch. None at all: empty.

#include "manager/resume.h"

#include "format/archive_reader.h"
#include "state/restore.h"
#include "store/log.h"
#include "store/names.h"

#include <cerrno>
#include <utility>
#include <vector>

namespace checkpoint::manager {
namespace {

bool speaks_of_this_checkpoint_alone(const Error& error) {
  switch (error.code()) {
    case ErrorCode::kCorrupt:
    case ErrorCode::kNotFound:
      return true;
    case ErrorCode::kIo:
      // 0: reading failed half way through a restore, which an older checkpoint makes good.
      return error.system_error() == EIO || error.system_error() == ESTALE ||
             error.system_error() == 0;
    default:
      return false;
  }
}

PassedOver pass_over(const store::Directory& directory, const std::string& name,
                     const Error& error) {
  PassedOver passed{name, error.what()};
  if (error.code() == ErrorCode::kCorrupt &&
      store::is_damaged_on_disk(directory.fs(), directory.path_of(name))) {
    try {
      passed.name = directory.set_aside(name);
    } catch (const Error& failure) {
      store::log_warning(failure.what());
    }
  }
  store::log_warning("checkpoint '" + directory.path_of(name) + "' is passed over" +
                     (passed.name != name ? " and set aside as " + passed.name : "") + ": " +
                     error.what());
  return passed;
}

[[noreturn]] void refuse_fresh_start(const store::Directory& directory,
                                     const std::vector<PassedOver>& passed_over,
                                     const std::vector<std::string>& set_aside) {
  std::string text = "there are checkpoints, and none of them can be restored:";
  for (const PassedOver& passed : passed_over) text += "\n  " + passed.name + ": " + passed.reason;
  for (const std::string& name : set_aside)
    text += "\n  " + name + ": set aside as damaged earlier";
  throw Error(ErrorCode::kCorrupt, text + "\n", directory.path(), 0,
              "To start from scratch, name another directory or move these away.");
}

}  // namespace

Restored restore_verified(const store::VerifiedCheckpoint& checkpoint, State& state,
                          const RestoreOptions& options) {
  const store::File& file = checkpoint.content();
  const format::DecodedArchive archive = format::read_archive(file);
  Restored restored;
  restored.manifest = checkpoint.manifest;
  restored.progress = checkpoint.manifest.progress;
  restored.report =
      state::restore(state, checkpoint.manifest, checkpoint.tensor_table(), file, archive, options);
  return restored;
}

std::optional<Restored> restore_newest(const store::Directory& directory, State& state,
                                       const RestoreOptions& options) {
  const std::vector<std::string> set_aside = directory.set_aside_names();
  const std::vector<store::FoundCheckpoint> found = directory.scan();
  std::vector<PassedOver> passed_over;
  for (auto checkpoint = found.rbegin(); checkpoint != found.rend(); ++checkpoint) {
    try {
      if (checkpoint->problem) throw *checkpoint->problem;
      Restored restored = restore_verified(
          store::verify_checkpoint(directory.fs(), checkpoint->path), state, options);
      restored.manifest.name = checkpoint->name;
      restored.passed_over = std::move(passed_over);
      return restored;
    } catch (const Error& error) {
      if (!speaks_of_this_checkpoint_alone(error)) throw;
      passed_over.push_back(pass_over(directory, checkpoint->name, error));
    }
  }
  if (!passed_over.empty() || !set_aside.empty()) {
    refuse_fresh_start(directory, passed_over, set_aside);
  }
  return std::nullopt;
}

}  // namespace checkpoint::manager
