#include "manager/last_checkpoint.h"

#include "base/log.h"
#include "manager/restore_one.h"
#include "store/directory/verify.h"
#include "store/io/file.h"
#include "store/records/names.h"

#include <checkpoint/error.h>

#include <utility>

namespace checkpoint::manager {

void LastCheckpoint::note_saved(std::unique_ptr<KnownCheckpoint> saved) {
  known_ = std::move(saved);
  verified_.clear();
}

void LastCheckpoint::note_verified(const Manifest& manifest) {
  known_.reset();
  doubted_ = false;  // Of its own files, this is the newer news.
  verified_ = manifest.name;
  identity_ = identity_of(manifest);
}

void LastCheckpoint::doubt_after(const Error& error) noexcept {
  if (error.code() == ErrorCode::kCorrupt || error.code() == ErrorCode::kIo) doubt();
}

const KnownCheckpoint* LastCheckpoint::get() {
  if (doubted_.exchange(false)) {
    known_.reset();
    verified_.clear();
  }
  const std::string verified = std::exchange(verified_, {});
  if (!verified.empty()) known_ = read(verified, identity_);
  return known_.get();
}

std::unique_ptr<KnownCheckpoint> LastCheckpoint::read(const std::string& name,
                                                      const std::string& identity) const {
  const std::string path = directory_.path_of(name);
  try {
    const store::VerifiedCheckpoint checkpoint =
        store::verify_files(directory_.fs(), path, {store::kTensorTableFile});
    if (identity_of(checkpoint.manifest) != identity) return nullptr;
    std::vector<store::KnownFile> files;
    for (const FileEntry* const entry : checkpoint.content_entries()) {
      files.push_back(store::know_file(directory_.fs(), store::join(path, entry->name), *entry));
    }
    return std::make_unique<KnownCheckpoint>(path, std::move(files),
                                             checkpoint.tensor_table().tensors);
  } catch (const Error& error) {
    base::log_info("all tensors are written, because checkpoint '" + name +
                   "' cannot be looked at again: " + error.what());
    return nullptr;
  }
}

void LastCheckpoint::warn_of(const std::exception& error, const std::string& name) {
  const std::string text =
      "reuse_unchanged: checkpoint '" + name + "' is written whole: " + error.what();
  if (std::exchange(warned_, true)) {
    base::log_debug(text);
  } else {
    base::log_warning(text);
  }
}

}  // namespace checkpoint::manager
