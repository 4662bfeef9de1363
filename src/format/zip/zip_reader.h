#pragma once

#include "store/io/byte_source.h"

#include <cstdint>
#include <memory_resource>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace checkpoint::format {

/// One record of a zip archive, as its directory describes it.
struct ZipEntry {
  std::string_view name;      ///< With its folders: "archive/data/0". Lives as long as the reader.
  uint64_t header_offset;     ///< Where its local header begins in the file.
  uint64_t end_limit;         ///< Where the next record, or the directory, begins.
  uint64_t bytes;             ///< Its uncompressed size.
  uint64_t compressed_bytes;  ///< Its size in the file.
  uint16_t method;            ///< The compression method; 0: not compressed.
  uint32_t crc32;             ///< As the directory says; not checked here for a stored record.

  bool stored() const { return method == 0; }
  bool deflated() const { return method == 8; }
};

/// A strict reader of a zip archive's directory, including zip64. It accepts archives as PyTorch's
/// writer makes them: one disk, not encrypted, no comment at the end. It also accepts compressed
/// (deflated) records, which other zip programs write. It never allocates more than the file's own
/// size justifies. A record must not claim more than deflate can compress, and two records must not
/// overlap. The caller must check the checksums of stored records.
///
/// Thread-safe once constructed, as far as the source is.
class ZipReader {
 public:
  /// Reads the directory. `source` must outlive the reader. Throws Error(corrupt) if the directory
  /// contradicts itself or the file, and Error(unsupported) for several disks and for encryption.
  explicit ZipReader(const store::ByteSource& source);

  ZipReader(const ZipReader&) = delete;
  ZipReader& operator=(const ZipReader&) = delete;

  /// The records, in the order of the directory.
  const std::vector<ZipEntry>& entries() const { return entries_; }
  /// Returns the record of that name, or null. The result lives as long as the reader.
  const ZipEntry* find(std::string_view name) const;

  /// Returns where the record's bytes begin in the file. Reads the record's local header. Throws
  /// Error(corrupt) if that header contradicts the directory, or if the record reaches into the
  /// next one.
  uint64_t data_offset(const ZipEntry& entry) const;

  /// Returns the bytes of a record, decompressed. Throws Error(unsupported) for a compression
  /// method other than deflate. Throws Error(corrupt) if the record has more than `limit` bytes or
  /// cannot be decompressed.
  std::string read(const ZipEntry& entry, uint64_t limit) const;
  /// Throws Error(unsupported) if the record has a compression method other than deflate.
  void need_known_method(const ZipEntry& entry) const;

  const store::ByteSource& source() const { return source_; }

 private:
  const store::ByteSource& source_;
  std::string directory_;  // Its bytes, with the names.
  std::vector<ZipEntry> entries_;
  std::pmr::monotonic_buffer_resource arena_;  // Entries come one by one, and go together.
  std::pmr::unordered_map<std::string_view, size_t> by_name_{&arena_};
};

}  // namespace checkpoint::format
