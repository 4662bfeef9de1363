// How a checkpoint gets into its directory:
//
//   0. Create the directory and its missing parents; fsync the parent of each.   Directory::create
//   1. Make a hidden staging directory next to the target. Its first file is the marker.
//   2. Check the free space.
//   3. Link the files of the last checkpoint that hold unchanged tensors, fsync each
//      (reuse_unchanged). If a link fails, write them in the next step. Write checkpoint.pt, fsync.
//   4. Write tensors.json, fsync.
//   5. Write manifest.json, fsync.
//   6. fsync the staging directory.
//   7. Check that the path still leads to the directory that is held (writer_hold.h). Rename the
//      staging directory to its name, without replacing anything: this is the commit.
//   8. fsync the parent.
//   9. Move the links "latest" and "best".                                 Directory::point_link
//  10. Retire what retention no longer keeps.                                           retire.h
//  11. Sweep what dead writers left.                                                    retire.h
//
// A failure before 7 removes the staging directory and changes nothing else. After a crash the
// staging directory remains, hidden, with its marker; step 11 of a later save removes it. Each step
// that changes the directory first checks that it is still the one that is held. If it is not,
// nothing is written or removed.

#include "store/directory/transaction.h"

#include "store/io/file.h"
#include "store/records/manifest.h"
#include "store/records/names.h"

#include <cerrno>

namespace checkpoint::store {

Transaction::Transaction(const Directory& directory, const Marker& marker, uint64_t bytes_expected)
    : directory_(directory), staging_(directory, marker, bytes_expected) {}

Transaction::~Transaction() {
  if (!committed_) staging_.remove();
}

void Transaction::commit(const Manifest& manifest) {
  const std::string text = encode_manifest(manifest);
  staging_.write_file(kManifestFile, [&](ByteSink& sink) { sink.write(text.data(), text.size()); });
  sync_directory(directory_.fs(), staging_.path());
  const std::string target = directory_.path_of(manifest.name);
  directory_.require_held();
  if (directory_.fs().rename_noreplace(staging_.path().c_str(), target.c_str()) != 0) {
    throw system_failure("rename the finished checkpoint to its name", target, errno);
  }
  committed_ = true;
  sync_directory(directory_.fs(), directory_.path());
}

}  // namespace checkpoint::store
