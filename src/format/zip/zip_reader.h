#pragma once

#include "store/io/byte_source.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace checkpoint::format {

/// One record of a zip archive, as its directory describes it.
struct ZipEntry {
  std::string name;           ///< With its folders: "archive/data/0".
  uint64_t header_offset;     ///< Where its local header begins in the file.
  uint64_t end_limit;         ///< Where the next record, or the directory, begins.
  uint64_t bytes;             ///< Its size once unpacked.
  uint64_t compressed_bytes;  ///< Its size in the file.
  uint16_t method;            ///< How it is packed; 0 for stored as it is.
  uint32_t crc32;             ///< As the directory says; not checked here for a stored record.

  bool stored() const { return method == 0; }
  bool deflated() const { return method == 8; }
};

/// A strict reader of the directory of a zip archive, zip64 included, as PyTorch's writer makes
/// them: one disk, no encryption, no comment behind the end; and of those that unpack and pack them
/// again, deflated. Nothing is allocated that the file's own size does not pay for, no record
/// claims more than deflate can pack, and no two records may overlap. Checksums of stored records
/// are left to the caller.
///
/// Thread-safe once constructed, as far as the source is.
class ZipReader {
 public:
  /// Reads the directory. `source` must outlive the reader. Throws Error(corrupt) for anything
  /// that does not add up, Error(unsupported) for several disks and for encryption.
  explicit ZipReader(const store::ByteSource& source);

  ZipReader(const ZipReader&) = delete;
  ZipReader& operator=(const ZipReader&) = delete;

  /// In the order of the directory.
  const std::vector<ZipEntry>& entries() const { return entries_; }
  /// The record of that name, or null. Lives as long as the reader.
  const ZipEntry* find(std::string_view name) const;

  /// Where the record's bytes begin in the file. Reads its local header, and throws
  /// Error(corrupt) if that does not agree with the directory or if the record would reach into
  /// the next one.
  uint64_t data_offset(const ZipEntry& entry) const;

  /// The bytes of a record, unpacked. Throws Error(unsupported) if it is packed in another way than
  /// by deflate, Error(corrupt) if it has more than `limit` bytes or does not unpack.
  std::string read(const ZipEntry& entry, uint64_t limit) const;
  /// Throws Error(unsupported) if the record is packed in another way than by deflate.
  void need_known_method(const ZipEntry& entry) const;

  const store::ByteSource& source() const { return source_; }

 private:
  const store::ByteSource& source_;
  std::vector<ZipEntry> entries_;
  std::unordered_map<std::string_view, size_t> by_name_;
};

}  // namespace checkpoint::format
