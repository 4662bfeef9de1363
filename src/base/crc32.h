#pragma once

#include <cstddef>
#include <cstdint>

namespace checkpoint::base {

/// Returns the CRC-32 of zip and gzip (RFC 1952, section 8) of `count` bytes that follow bytes
/// whose CRC-32 is `before`; 0 if none precede them.
uint32_t crc32(uint32_t before, const void* data, size_t count);

/// Returns the CRC-32 of two pieces, one after the other, from that of each. `second_bytes` is the
/// length of the second one.
uint32_t combine_crc32(uint32_t first, uint32_t second, uint64_t second_bytes);

}  // namespace checkpoint::base
