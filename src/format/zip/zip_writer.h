#pragma once

#include "base/little_endian.h"
#include "store/io/byte_sink.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace checkpoint::format {

/// Writes a zip archive like PyTorch's own writer. Records are not compressed, and each begins at a
/// multiple of 64 bytes. Sizes and offsets above 4 GiB are in zip64 fields. The CRC-32 of a tensor
/// follows it in a data descriptor, so that its bytes are read only once. Takes time linear in the
/// number of records. Not thread-safe.
class ZipWriter {
 public:
  /// All records are in the folder `root`. `sink` must outlive this, and begin at the start of the
  /// file.
  ZipWriter(store::ByteSink& sink, std::string root);

  /// Adds a record, and returns where its bytes begin in the file.
  uint64_t add(const std::string& name, const std::string& bytes);
  /// The same, for bytes that stay valid until the sink is drained (ByteSink::write_lasting), as
  /// `sums` does.
  uint64_t add_lasting(const std::string& name, const void* data, size_t count, store::Sums* sums);
  /// Writes the directory, and drains the sink. Must be the last call.
  void finish();

 private:
  struct Entry {
    size_t name_end;  // In names_. It begins where that of the entry before ends.
    uint64_t bytes;
    uint64_t header_offset;
    uint32_t crc32;           // If it is known when the record begins,
    const store::Sums* sums;  // or else what will hold it.

    bool is_zip64() const;
    uint16_t flags() const;
  };

  uint64_t begin_record(const std::string& name, uint64_t count, uint32_t crc32,
                        const store::Sums* sums);
  void write_descriptor(const Entry& entry);
  void write_fields();

  store::ByteSink& sink_;
  std::string root_;
  std::string names_;  // Of all entries, one after the other.
  uint64_t written_ = 0;
  base::LittleEndian fields_;  // The header that is being built.
  std::vector<Entry> entries_;
};

}  // namespace checkpoint::format
