#pragma once

#include "store/file.h"
#include "store/tensor_table.h"

#include <checkpoint/manifest.h>

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
  /// The one that holds the tensors and values: checkpoint.pt or checkpoint.pth.
  const File& content() const;
  TensorTable tensor_table() const;
};

/// Opens a checkpoint, compares the size and the digest of each file with the manifest, with all
/// cores. Throws Error: not_found, corrupt, incompatible, io.
VerifiedCheckpoint verify_checkpoint(FileSystem& fs, const std::string& path,
                                     ReadFrom from = ReadFrom::kCache);
/// Opens and checks the named files of a checkpoint alone.
VerifiedCheckpoint verify_files(FileSystem& fs, const std::string& path,
                                const std::set<std::string>& names);

/// Whether a checkpoint that was found corrupt is so on the disk too: only then may it be set
/// aside. False if this reading finds it whole, or fails in any other way.
bool is_damaged_on_disk(FileSystem& fs, const std::string& path) noexcept;

}  // namespace checkpoint::store
