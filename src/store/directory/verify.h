#pragma once

#include "store/io/file.h"
#include "store/records/tensor_table.h"

#include <checkpoint/manifest.h>
#include <checkpoint/transfer.h>
#include <checkpoint/verify.h>

#include <map>
#include <set>
#include <string>

namespace checkpoint::store {

/// Where the bytes are to come from.
enum class ReadFrom {
  kCache,  ///< Wherever the system has them.
  kDisk,   ///< The disk, as far as the system lets itself be asked.
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
  /// The file that holds the tensors and values: checkpoint.pt or checkpoint.pth.
  const char* content_name() const;
  const File& content() const { return file(content_name()); }
  /// The content, if this way of verifying leaves its digest to who reads it; null otherwise.
  const FileEntry* unchecked(Verify verify) const {
    return verify == Verify::kWhileReading ? &entry(content_name()) : nullptr;
  }
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
/// kWhileReading all but that of the archive, which whoever reads it has to check, kNever none.
VerifiedCheckpoint open_checkpoint(FileSystem& fs, const std::string& path, Verify verify,
                                   const OnTransfer& on_transfer = {});
/// Opens and checks the named files of a checkpoint alone.
VerifiedCheckpoint verify_files(FileSystem& fs, const std::string& path,
                                const std::set<std::string>& names);

/// Throws Error(corrupt) if the digest of a file's bytes is not the one that is expected.
void check_digest(const FileEntry& expected, const std::string& digest, const std::string& path);

/// Whether a checkpoint that was found corrupt is so on the disk too: only then may it be set
/// aside. False if this reading finds it whole, or fails in any other way.
bool is_damaged_on_disk(FileSystem& fs, const std::string& path) noexcept;

}  // namespace checkpoint::store
