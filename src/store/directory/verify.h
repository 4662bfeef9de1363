#pragma once

#include "store/directory/directory.h"
#include "store/io/file.h"
#include "store/records/tensor_table.h"

#include <checkpoint/manifest.h>
#include <checkpoint/transfer.h>
#include <checkpoint/verify.h>

#include <map>
#include <set>
#include <string>
#include <vector>

namespace checkpoint::store {

/// Where the bytes come from.
enum class ReadFrom {
  kCache,  ///< Wherever the system has them.
  kDisk,   ///< The disk, as far as the system lets itself be asked.
};

/// An open file that holds tensors and values.
struct ContentFile {
  const ByteSource* file;
  /// If not null: the digest has not been checked yet. The code that reads the file must do that.
  const FileEntry* unchecked = nullptr;
};

/// A checkpoint whose files are open and were found to be what the manifest says. It stays readable
/// while retention removes it.
struct VerifiedCheckpoint {
  std::string path;
  Manifest manifest;
  std::map<std::string, File> files;

  /// Throws Error(corrupt) if the manifest names no such file.
  const File& file(const std::string& name) const;
  /// What the manifest says of a file. Throws Error(corrupt) if it does not name it.
  const FileEntry& entry(const std::string& name) const;
  /// The names of the files that hold tensors and values, one today. Throws Error(corrupt) if the
  /// manifest names none.
  std::vector<std::string> content_names() const;
  /// These files, as this way of verifying has left them.
  /// They live as long as this. Throws as content_names does.
  std::vector<ContentFile> contents(Verify verify = Verify::kBefore) const;
  TensorTable tensor_table() const;
  /// Its text alone, to be decoded later. Throws as it does.
  std::string tensor_table_text() const;
};

/// Opens a checkpoint, compares the size and the digest of each file with the manifest, with all
/// cores. Throws Error: not_found, corrupt, incompatible, io, and what `on_transfer` throws.
VerifiedCheckpoint verify_checkpoint(FileSystem& fs, const std::string& path,
                                     ReadFrom from = ReadFrom::kCache,
                                     const OnTransfer& on_transfer = {});
/// Opens a checkpoint to restore it. Sizes are compared in any case; kBefore checks all digests,
/// kWhileReading all but those of the content files, which the reader must check; kNever none.
VerifiedCheckpoint open_checkpoint(FileSystem& fs, const std::string& path, Verify verify,
                                   const OnTransfer& on_transfer = {});
/// The same for a checkpoint of a directory, by its name.
VerifiedCheckpoint verify_checkpoint(const Directory& directory, const std::string& name,
                                     ReadFrom from = ReadFrom::kCache);
VerifiedCheckpoint open_checkpoint(const Directory& directory, const std::string& name,
                                   Verify verify, const OnTransfer& on_transfer = {});
/// Opens and checks the named files of a checkpoint alone.
VerifiedCheckpoint verify_files(FileSystem& fs, const std::string& path,
                                const std::set<std::string>& names);

/// The name of the checkpoint at a path: that of its directory, also if the path is a link that
/// leads there ("runs/a/latest"). The path's last part if the system cannot resolve it.
std::string name_at(const std::string& path);

/// Throws Error(corrupt) if the digest of a file's bytes is not the one that is expected.
void check_digest(const FileEntry& expected, const std::string& digest, const std::string& path);

/// Whether a checkpoint that was found corrupt is so on the disk too: only then may it be set
/// aside. False if this reading finds it whole, or fails in any other way.
bool is_damaged_on_disk(const Directory& directory, const std::string& name) noexcept;

}  // namespace checkpoint::store
