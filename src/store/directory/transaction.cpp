// How a checkpoint gets into its directory:
//
//   0. Create the directory and its missing parents; fsync the parent of each.   Directory::create
//   1. Make a hidden staging directory beside the target; first file in: the marker.
//   2. Check the free space.
//   3. Write checkpoint.pt, fsync.
//   4. Write tensors.json, fsync.
//   5. Write manifest.json, fsync.
//   6. fsync the staging directory.
//   7. See that the path still leads to the directory that is held (writer_hold.h), and rename it
//      to its name, refusing to replace: this is the commit.
//   8. fsync the parent.
//   9. Move the links "latest" and "best" over.                            Directory::point_link
//  10. Retire what retention no longer keeps.                                           retire.h
//  11. Sweep what dead writers left.                                                    retire.h
//
// A failure before 7 removes the staging directory and changes nothing else. A crash leaves it
// behind, hidden, with its marker, for step 11 of a later save. All steps that change the directory
// first see that it is still the one that is held; where it is not, nothing is written and nothing
// is removed.

#include "store/directory/transaction.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/directory/retire.h"
#include "store/io/file_sink.h"
#include "store/records/manifest.h"
#include "store/records/names.h"

#include <cerrno>

namespace checkpoint::store {
namespace {

void check_free_space(const Directory& directory, uint64_t bytes_expected) {
  uint64_t free = 0;
  // A file system that cannot say is written to all the same: its own ENOSPC is heard.
  if (directory.fs().free_bytes(directory.path().c_str(), &free) != 0) return;
  if (free < bytes_expected) {
    throw Error(ErrorCode::kNoSpace,
                "the checkpoint needs " + std::to_string(bytes_expected) + " bytes, and " +
                    std::to_string(free) + " are free",
                directory.path(), ENOSPC,
                "Free some space, or keep fewer checkpoints (keep_last), and save again.");
  }
}

}  // namespace

Transaction::Transaction(const Directory& directory, const Marker& marker, uint64_t bytes_expected)
    : directory_(directory), staging_(directory.path_of(kStagingPrefix + base::random_id())) {
  directory_.require_held();
  if (directory_.fs().mkdir(staging_.c_str(), 0777) != 0) {
    throw system_failure("create the directory", staging_, errno);
  }
  try {
    write_marker(directory_.fs(), staging_, marker);
    check_free_space(directory_, bytes_expected);
  } catch (...) {
    remove_staging();
    throw;
  }
}

Transaction::~Transaction() {
  if (!committed_) remove_staging();
}

FileEntry Transaction::write_file(const std::string& name,
                                  const std::function<void(ByteSink&)>& content, uint64_t reserved,
                                  base::Meter* meter) {
  // Else a directory that was moved away would be told as a file that cannot be created.
  directory_.require_held();
  FileSink sink(directory_.fs(), join(staging_, name), reserved, meter);
  content(sink);
  return sink.finish(name);
}

void Transaction::commit(const Manifest& manifest) {
  const std::string text = encode_manifest(manifest);
  write_file(kManifestFile, [&](ByteSink& sink) { sink.write(text.data(), text.size()); });
  sync_directory(directory_.fs(), staging_);
  const std::string target = directory_.path_of(manifest.name);
  directory_.require_held();
  if (directory_.fs().rename_noreplace(staging_.c_str(), target.c_str()) != 0) {
    throw system_failure("rename the finished checkpoint to its name", target, errno);
  }
  committed_ = true;
  sync_directory(directory_.fs(), directory_.path());
}

void Transaction::remove_staging() noexcept {
  try {
    remove_checkpoint_files(directory_.fs(), staging_);
  } catch (const std::exception& error) {
    base::log_warning(
        std::string("a failed save left its files behind, and the next one removes them: ") +
        error.what());
  }
}

}  // namespace checkpoint::store
