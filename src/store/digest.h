#pragma once

#include "store/byte_source.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace checkpoint::store {

/// Files are digested in chunks of this size, so that all cores can share the work.
constexpr size_t kChunkBytes = size_t{8} << 20;

/// XXH3-128 (https://github.com/Cyan4973/xxHash) of `count` bytes, as 32 lower-case hexadecimal
/// digits of its canonical form (most significant byte first).
std::string xxh3_128(const void* data, size_t count);

/// A file's digest: the XXH3-128 of the concatenated canonical XXH3-128 digests of its chunks of
/// kChunkBytes; the last chunk may be shorter, and an empty file has none. Not thread-safe.
class FileDigest {
 public:
  /// The next chunk, which must be whole unless it is the last one.
  void add_chunk(const void* data, size_t count);
  std::string finish() const;

 private:
  std::string chunk_digests_;
};

/// Reads `count` bytes of a source from its start with all cores and digests them.
/// Throws what the source's read_at throws.
std::string digest_of(const ByteSource& source, uint64_t count);

}  // namespace checkpoint::store
