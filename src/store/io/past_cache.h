#pragma once

#include "base/parallel.h"
#include "store/io/byte_source.h"
#include "store/io/kept_bytes.h"

#include <cstddef>
#include <cstdint>
#include <functional>

namespace checkpoint::store {

/// What one thread does: takes the numbers of chunks (base::kChunkBytes) from `chunks`, and reads
/// each once, from its beginning to its end, from `source`, which is this thread's own.
using ReadChunks = std::function<void(const ByteSource& source, base::Indices& chunks)>;

/// Sources of fewer chunks than this are not large. It depends on the machine's cores.
size_t least_large_chunks();

/// Calls `read` on several threads for the chunks of the first `count` bytes of `source`, of which
/// it needs `wanted`. If the page cache does not hold a large source, the first chunks are read
/// past it (O_DIRECT). Some chunks are then read through it, at once or, if the disk is fast, after
/// some GB. The rest is read in the way that was faster: each new page of the cache costs more than
/// a copy, and with a fast disk that is most of the time. What cannot be read past the cache is
/// read through it. Throws what `read` throws.
void read_in_chunks(const ByteSource& source, uint64_t count, uint64_t wanted,
                    const ReadChunks& read);

/// The same for the first of two passes over all of `source`. It reads most through the cache, from
/// which the second pass then copies, unless it is faster to read it past the cache twice.
void read_in_chunks_first(const ByteSource& source, uint64_t count, const ReadChunks& read);

/// The same, but `source` keeps what is read past the cache, where memory allows.
void read_in_chunks_keeping(KeptBytes& source, uint64_t count, const ReadChunks& read);

}  // namespace checkpoint::store
