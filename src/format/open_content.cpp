#include "format/open_content.h"

#include "format/foreign.h"

namespace checkpoint::format {

OpenContent::OpenContent(const std::string& path, Verify verify, const OnTransfer& on_transfer)
    : verify_(verify) {
  store::FileSystem& fs = store::posix_file_system();
  if (!store::is_directory(fs, path)) {
    file_.emplace(store::File::open(fs, path, store::Links::kFollowed));
    return;
  }
  need_checkpoint(fs, path);
  checkpoint_.emplace(store::open_checkpoint(fs, path, verify, on_transfer));
}

std::vector<store::ContentFile> OpenContent::files() const {
  if (file_) return {{&*file_}};
  return checkpoint_->contents(verify_);
}

const store::File& OpenContent::file() const {
  return file_ ? *file_ : checkpoint_->file(checkpoint_->content_entries().front()->name);
}

}  // namespace checkpoint::format
