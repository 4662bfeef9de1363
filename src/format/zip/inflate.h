#pragma once

#include "store/io/byte_source.h"

#include <cstdint>
#include <string>

namespace checkpoint::format {

/// Where the compressed bytes of a record are stored.
struct Deflated {
  uint64_t offset;  ///< Where they begin in the file.
  uint64_t packed;  ///< The compressed size, in bytes.
  uint64_t bytes;   ///< The uncompressed size, in bytes.
  uint32_t crc32;   ///< The checksum of the uncompressed bytes.
};

/// Returns whether deflate can compress this many bytes to this size. A record that claims more is
/// damaged or hostile.
bool can_be_deflated(uint64_t bytes, uint64_t packed);

/// Decompresses a record into `to`, which has room for all of its bytes. Throws Error(corrupt),
/// naming the record, if the result does not have exactly this size and checksum, and what `source`
/// throws.
void inflate(const store::ByteSource& source, const Deflated& deflated, const std::string& record,
             void* to);

}  // namespace checkpoint::format
