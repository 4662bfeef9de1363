#include "base/crc32.h"

#include <libdeflate.h>
#include <zlib.h>

namespace checkpoint::base {

// libdeflate uses the processor's own instructions for it. zlib knows how to combine.
uint32_t crc32(uint32_t before, const void* data, size_t count) {
  return count > 0 ? libdeflate_crc32(before, data, count) : before;
}

uint32_t combine_crc32(uint32_t first, uint32_t second, uint64_t second_bytes) {
  return static_cast<uint32_t>(::crc32_combine(first, second, static_cast<z_off_t>(second_bytes)));
}

}  // namespace checkpoint::base
