#include "format/zip/inflate.h"

#include "base/in_quotes.h"

#include <checkpoint/error.h>

#include <libdeflate.h>

#include <memory>

namespace checkpoint::format {

bool can_be_deflated(uint64_t bytes, uint64_t packed) {
  // Deflate's best case: two bits for a run of 258 bytes.
  constexpr uint64_t kMostPerByte = 1032;
  return bytes / kMostPerByte <= packed;
}

void inflate(const store::ByteSource& source, const Deflated& deflated, const std::string& record,
             void* to) {
  struct Free {
    void operator()(libdeflate_decompressor* decompressor) const {
      libdeflate_free_decompressor(decompressor);
    }
  };
  const std::unique_ptr<libdeflate_decompressor, Free> decompressor(
      libdeflate_alloc_decompressor());
  if (decompressor == nullptr) throw std::bad_alloc();
  std::string packed(deflated.packed, '\0');
  source.read_at(deflated.offset, packed.data(), packed.size());
  const auto result = libdeflate_deflate_decompress(decompressor.get(), packed.data(),
                                                    packed.size(), to, deflated.bytes, nullptr);
  if (result != LIBDEFLATE_SUCCESS) {
    store::throw_corrupt("record " + base::in_quotes(record) + " does not unpack to the " +
                             std::to_string(deflated.bytes) + " bytes that it should have",
                         source);
  }
  if (libdeflate_crc32(0, to, deflated.bytes) != deflated.crc32) {
    store::throw_corrupt(
        "record " + base::in_quotes(record) + " has another checksum once unpacked", source);
  }
}

}  // namespace checkpoint::format
