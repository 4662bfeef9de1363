#pragma once

#include "format/dcp/index.h"
#include "format/decode/decoded.h"
#include "store/io/file.h"
#include "store/io/file_system.h"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace checkpoint::format::dcp {

/// Returns whether a directory is a checkpoint of PyTorch's Distributed Checkpoint. Throws
/// Error(io).
bool is_checkpoint(store::FileSystem& fs, const std::string& path);

/// Throws Error(unsupported), saying why, if a directory is a distributed checkpoint that cannot be
/// read: one that was not saved to its end, one without a global index, or one of
/// torch_checkpointing. Throws Error(io).
void refuse_unreadable(store::FileSystem& fs, const std::string& path);

/// A file with blobs. If there are many, each is open only while it is read.
class BlobFile;

/// A checkpoint that PyTorch's Distributed Checkpoint wrote. Files that its index does not name are
/// ignored: an older, larger save may have left them. Movable; reading it is thread-safe.
class Directory {
 public:
  /// Reads and checks the index, and compares it with the sizes of the files. `fs` must outlive
  /// this. Throws Error: what read_index throws; corrupt if a file is missing or too short; io.
  Directory(store::FileSystem& fs, const std::string& path);
  Directory(Directory&&) noexcept;
  ~Directory();

  /// The number of files that hold tensors and values.
  size_t file_count() const { return files_.size(); }
  const store::ByteSource& file(size_t index) const;
  /// A file that can be mapped: the only one, or else the index.
  const store::File& one_file() const;
  /// Decodes all blobs, but reads the bytes of no tensor. StoredTensor::file counts as `file` does.
  /// Throws Error(corrupt) if a blob does not hold what the index says, and what read_archive
  /// throws; the error names the key.
  DecodedArchive decode() const;
  /// Reads all blobs, and compares each record with its checksum. Returns how many bytes that were.
  /// Throws like decode, and Error(corrupt) for a record that has changed.
  uint64_t verify() const;

 private:
  std::string path_;
  store::File index_file_;
  Index index_;
  std::vector<std::unique_ptr<BlobFile>> files_;
};

}  // namespace checkpoint::format::dcp
