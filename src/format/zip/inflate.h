#pragma once

#include "store/io/byte_source.h"

#include <cstdint>
#include <string>

namespace checkpoint::format {

/// Where the deflated bytes of a record lie.
struct Deflated {
  uint64_t offset;  ///< In the file.
  uint64_t packed;  ///< So many bytes there.
  uint64_t bytes;   ///< So many once unpacked.
  uint32_t crc32;   ///< Of those.
};

/// Whether so many bytes can be packed into so few: deflate has a limit, and what claims more than
/// it is no record.
bool can_be_deflated(uint64_t bytes, uint64_t packed);

/// Unpacks a record into `to`, which has its bytes. Throws Error(corrupt), naming the record, if it
/// does not unpack to just so many bytes with that checksum, and what `source` throws.
void inflate(const store::ByteSource& source, const Deflated& deflated, const std::string& record,
             void* to);

}  // namespace checkpoint::format
