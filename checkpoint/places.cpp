#include "places.h"

#include "base/text.h"
#include "store/directory/directory.h"
#include "store/io/file.h"
#include "store/records/marker.h"
#include "store/records/names.h"

#include <checkpoint/error.h>

namespace checkpoint::cli {
namespace {

bool has(store::FileSystem& fs, const std::string& path, const char* name) {
  return store::status_of(fs, store::join(path, name)).st_mode != 0;
}

bool is_there(store::FileSystem& fs, const std::string& path) {
  return store::status_of(fs, path).st_mode != 0;
}

// The second program reads them, and knows the rules. This is only to choose it.
bool is_index_name(const std::string& name) {
  return base::ends_with(name, ".safetensors.index.json") ||
         base::ends_with(name, ".bin.index.json");
}
bool is_numbered_shard(const std::string& name) {
  return name.find("-of-") != std::string::npos &&
         (base::ends_with(name, ".safetensors") || base::ends_with(name, ".bin"));
}

[[noreturn]] void refuse_file(store::FileSystem& fs, const std::string& path) {
  const std::string parent = store::parent_of(path);
  const std::string hint = is_checkpoint(fs, parent)
                               ? "Name the checkpoint by its directory: '" + parent + "'."
                               : "Use diff or convert to read files.";
  throw Error(ErrorCode::kInvalidArgument, "this is a file, not a checkpoint", path, 0, hint);
}

[[noreturn]] void refuse_file_for_directory(store::FileSystem& fs, const std::string& path) {
  const std::string parent = store::parent_of(path);
  const std::string hint =
      is_checkpoint(fs, parent)
          ? "Name the directory that the checkpoint is in: '" + store::parent_of(parent) + "'."
          : "Use diff or convert to read files.";
  throw Error(ErrorCode::kInvalidArgument, "this is a file, not a directory of checkpoints", path,
              0, hint);
}

}  // namespace

bool is_checkpoint(store::FileSystem& fs, const std::string& path) {
  return has(fs, path, store::kManifestFile) || store::has_marker(fs, path);
}

bool is_distributed(store::FileSystem& fs, const std::string& path) {
  return has(fs, path, ".metadata") && store::is_directory(fs, path) && !is_checkpoint(fs, path);
}

bool is_sharded(store::FileSystem& fs, const std::string& path) {
  if (!store::is_directory(fs, path)) return is_index_name(path) && is_there(fs, path);
  if (is_checkpoint(fs, path)) return false;
  bool found = false;
  for (const std::string& name : store::list_directory(fs, path)) {
    if (has(fs, store::join(path, name), store::kManifestFile)) return false;
    const bool is_part = base::begins_with(name, "shard-") && base::ends_with(name, ".safetensors");
    found = found || is_part || is_index_name(name) || name == "model.safetensors" ||
            name == "pytorch_model.bin" || is_numbered_shard(name);
  }
  return found;
}

void need_directory_of_checkpoints(store::FileSystem& fs, const std::string& path) {
  if (!store::is_directory(fs, path)) {
    store::refuse_dangling(fs, path);
    if (is_there(fs, path)) refuse_file_for_directory(fs, path);
    throw Error(ErrorCode::kNotFound, "no such directory", path);
  }
  // Another program's manifest.json may be in a directory of checkpoints.
  const bool has_files =
      has(fs, path, store::kManifestFile) && has(fs, path, store::kTensorTableFile);
  if (!has_files && !store::has_marker(fs, path)) return;
  throw Error(ErrorCode::kInvalidArgument, "this is a checkpoint, not a directory of checkpoints",
              path, 0, "Name its parent directory, or use torch-checkpoint show.");
}

void refuse_if_file(store::FileSystem& fs, const std::string& path) {
  store::refuse_dangling(fs, path);
  if (is_there(fs, path) && !store::is_directory(fs, path)) refuse_file(fs, path);
}

void need_checkpoint(store::FileSystem& fs, const std::string& path) {
  if (!store::is_directory(fs, path)) {
    refuse_if_file(fs, path);
    throw Error(ErrorCode::kNotFound, "no such checkpoint", path);
  }
  if (is_checkpoint(fs, path)) return;
  throw Error(ErrorCode::kInvalidArgument, "this directory is not a checkpoint", path, 0,
              "Use torch-checkpoint list to see the checkpoints in it.");
}

}  // namespace checkpoint::cli
