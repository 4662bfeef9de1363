#include "format/open_content.h"

#include "format/foreign.h"
#include "format/read_file.h"
#include "format/sharded/find_shards.h"
#include "format/torch/rank_files.h"

#include <checkpoint/error.h>

namespace checkpoint::format {

OpenContent::OpenContent(const std::string& path, Verify verify, const OnTransfer& on_transfer,
                         bool read_once)
    : verify_(verify) {
  store::FileSystem& fs = store::posix_file_system();
  if (open_model(fs, path)) return;
  if (!store::is_directory(fs, path)) {
    file_.emplace(store::File::open(fs, path, store::Links::kFollowed));
    return;
  }
  if (!is_checkpoint(fs, path) && dcp::is_checkpoint(fs, path)) {
    dcp_.emplace(fs, path);
    return;
  }
  need_checkpoint(fs, path);
  checkpoint_.emplace(store::open_checkpoint(fs, path, verify, on_transfer, read_once));
}

// Returns false if the path is a plain file, a checkpoint, or nothing of which we know.
bool OpenContent::open_model(store::FileSystem& fs, const std::string& path) {
  if (is_checkpoint(fs, path)) return false;
  const FoundModel found = find_model(fs, path);
  if (found.kind != FoundModel::Kind::kNone && dcp::is_checkpoint(fs, path)) {
    throw Error(ErrorCode::kInvalidArgument,
                "this directory has a distributed checkpoint and another model", path, 0,
                "Give the path of the other model's file or index, or remove one of the two.");
  }
  switch (found.kind) {
    case FoundModel::Kind::kNone:
      return false;
    case FoundModel::Kind::kFile:
      file_.emplace(store::File::open(fs, found.path, store::Links::kFollowed));
      return true;
    case FoundModel::Kind::kIndex:
    case FoundModel::Kind::kRankFiles:
      sharded_.emplace(fs, found);
      return true;
  }
  return false;
}

std::vector<store::ContentFile> OpenContent::files() const {
  if (sharded_) {
    std::vector<store::ContentFile> files;
    for (size_t i = 0; i < sharded_->file_count(); ++i) files.push_back({&sharded_->file(i)});
    return files;
  }
  if (file_) return {{&*file_}};
  if (dcp_) {
    std::vector<store::ContentFile> files;
    for (size_t i = 0; i < dcp_->file_count(); ++i) files.push_back({&dcp_->file(i)});
    return files;
  }
  return checkpoint_->contents(verify_);
}

const std::string& OpenContent::name() const { return sharded_ ? sharded_->name() : file().name(); }

const store::File& OpenContent::file() const {
  if (sharded_) return sharded_->file(0);
  if (dcp_) return dcp_->one_file();
  return file_ ? *file_ : checkpoint_->file(checkpoint_->content_entries().front()->name);
}

DecodedArchive OpenContent::decode() const {
  if (sharded_) return sharded_->decode(read_file);
  if (dcp_) return dcp_->decode();
  const std::vector<store::ContentFile> contents = files();
  if (contents.size() == 1) return read_file(*contents.front().file);
  std::vector<std::string> names;
  for (const FileEntry* entry : checkpoint_->content_entries()) names.push_back(entry->name);
  const Sources sources = [&](size_t i) -> const store::ByteSource& {
    return *contents.at(i).file;
  };
  return read_rank_files(sources, names, checkpoint_->manifest, checkpoint_->tensor_table(),
                         /*rank=*/0)
      .archive;
}

}  // namespace checkpoint::format
