#pragma once

#include "store/directory/directory.h"
#include "store/io/file.h"
#include "store/io/kept_bytes.h"
#include "store/records/tensor_table.h"

#include <checkpoint/manifest.h>
#include <checkpoint/transfer.h>
#include <checkpoint/verify.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace checkpoint::store {

/// Where to read the bytes from.
enum class ReadFrom {
  kCache,  ///< The page cache if the system has them there, otherwise the disk.
  kDisk,   ///< The disk, as far as the system allows a program to ask for that.
};

/// An open file that holds tensors and values.
struct ContentFile {
  const ByteSource* file;
  /// If not null, the digest is not checked yet: the code that reads the file must check it.
  const FileEntry* unchecked = nullptr;
};

/// A checkpoint whose files are open and match the manifest, as far as they were checked. It can
/// still be read while retention removes it.
struct VerifiedCheckpoint {
  std::string path;
  Manifest manifest;
  std::map<std::string, File> files;
  /// With `read_once`: those that were verified and will be read again, by name. They are partly in
  /// memory.
  std::map<std::string, std::unique_ptr<KeptBytes>> kept;

  /// Returns an open file. Throws Error(corrupt) if the manifest does not name it.
  const File& file(const std::string& name) const;
  /// Returns the manifest's entries of the files that hold tensors and values: one for each rank
  /// that wrote it, then those of unchanged tensors. Throws Error(corrupt) if the manifest names no
  /// content file.
  std::vector<const FileEntry*> content_entries() const;
  /// Returns these files. For kWhileReading, `unchecked` is set. They live as long as this. Throws
  /// what content_entries throws.
  std::vector<ContentFile> contents(Verify verify = Verify::kBefore) const;
  /// Reads the tensor table. Throws Error: corrupt, io.
  TensorTable tensor_table() const;
  /// Reads only its text, to be decoded later. Throws Error: corrupt, io.
  std::string tensor_table_text() const;
};

/// Opens a checkpoint and compares the size and digest of each file with the manifest, with all
/// cores. Throws Error: not_found, corrupt, incompatible, io, and what `on_transfer` throws.
VerifiedCheckpoint verify_checkpoint(FileSystem& fs, const std::string& path,
                                     ReadFrom from = ReadFrom::kCache,
                                     const OnTransfer& on_transfer = {});
/// Opens a checkpoint to restore it. Always compares sizes. kBefore checks all digests.
/// kWhileReading checks all but those of the content files, which the reader must check. kNever
/// checks no digests. With `read_once`, what is read of the files that hold tensors is kept in
/// memory for the restore, as far as there is enough (KeptBytes). Throws what verify_checkpoint
/// throws.
VerifiedCheckpoint open_checkpoint(FileSystem& fs, const std::string& path, Verify verify,
                                   const OnTransfer& on_transfer = {}, bool read_once = false);
/// Which content files one of several ranks checks; the others check the rest.
struct VerifyShare {
  size_t rank = 0;
  size_t ranks = 1;
};

/// The same for a checkpoint in a directory, by its name.
VerifiedCheckpoint verify_checkpoint(const Directory& directory, const std::string& name,
                                     ReadFrom from = ReadFrom::kCache);
VerifiedCheckpoint open_checkpoint(const Directory& directory, const std::string& name,
                                   Verify verify, const OnTransfer& on_transfer = {},
                                   VerifyShare share = {}, bool read_once = false);
/// Opens and checks only the named files of a checkpoint. Throws what verify_checkpoint throws.
VerifiedCheckpoint verify_files(FileSystem& fs, const std::string& path,
                                const std::set<std::string>& names);

/// Returns the name of the checkpoint at a path: that of its directory, also if the path is a link
/// to it ("runs/a/latest"). If the system cannot resolve the path, returns its last part.
std::string name_at(const std::string& path);

/// Throws Error(corrupt) if `digest` differs from the expected one. `path` is for the error text.
void check_digest(const FileEntry& expected, const std::string& digest, const std::string& path);

/// Returns whether a checkpoint that was found corrupt is also corrupt on the disk. Only then may
/// it be set aside. False if this second reading finds it whole, or fails in another way.
bool is_damaged_on_disk(const Directory& directory, const std::string& name) noexcept;

}  // namespace checkpoint::store
