#include "store/digest.h"

#include "store/parallel.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <memory>

namespace checkpoint::store {
namespace {

constexpr size_t kDigestBytes = sizeof(XXH128_canonical_t);

XXH128_canonical_t canonical(const void* data, size_t count) {
  XXH128_canonical_t result;
  XXH128_canonicalFromHash(&result, XXH3_128bits(data, count));
  return result;
}

std::string hexadecimal(const XXH128_canonical_t& digest) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : digest.digest) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace

std::string xxh3_128(const void* data, size_t count) { return hexadecimal(canonical(data, count)); }

void FileDigest::add_chunk(const void* data, size_t count) {
  const XXH128_canonical_t digest = canonical(data, count);
  chunk_digests_.append(reinterpret_cast<const char*>(digest.digest), kDigestBytes);
}

std::string FileDigest::finish() const {
  return xxh3_128(chunk_digests_.data(), chunk_digests_.size());
}

std::string digest_of(const ByteSource& source, uint64_t count) {
  const size_t chunks = static_cast<size_t>((count + kChunkBytes - 1) / kChunkBytes);
  std::string digests(chunks * kDigestBytes, '\0');
  parallel_for(chunks, [&](size_t first, size_t stride) {
    const size_t buffer_bytes = static_cast<size_t>(std::min<uint64_t>(count, kChunkBytes));
    // Not value-initialised: it is read into at once.
    const std::unique_ptr<char[]> buffer(new char[buffer_bytes]);
    for (size_t chunk = first; chunk < chunks; chunk += stride) {
      const uint64_t offset = static_cast<uint64_t>(chunk) * kChunkBytes;
      const size_t bytes = static_cast<size_t>(std::min<uint64_t>(kChunkBytes, count - offset));
      source.read_at(offset, buffer.get(), bytes);
      const XXH128_canonical_t digest = canonical(buffer.get(), bytes);
      std::memcpy(&digests[chunk * kDigestBytes], digest.digest, kDigestBytes);
    }
  });
  return xxh3_128(digests.data(), digests.size());
}

}  // namespace checkpoint::store
