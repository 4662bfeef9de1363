#pragma once

#include "base/parallel.h"
#include "store/io/byte_source.h"

#include <cstddef>
#include <cstdint>
#include <functional>

namespace checkpoint::store {

/// How often the same bytes will be read in all.
enum class Passes {
  kOne,
  kFirstOfTwo,  ///< The page cache then helps the second.
};

/// What one thread does: takes the numbers of chunks (base::kChunkBytes) from `chunks`, and reads
/// each once, from its beginning to its end, from `source`, which is this thread's own.
using ReadChunks = std::function<void(const ByteSource& source, base::Indices& chunks)>;

/// Sources of fewer chunks than this are not large. It depends on the machine's cores.
size_t least_large_chunks();

/// Calls `read` on several threads for the chunks of the first `count` bytes of `source`, of which
/// it needs `wanted`. If the page cache does not hold a large source, the first chunks are read
/// past it (O_DIRECT), the next ones through it, and the rest in the way that was faster: each new
/// page of the cache costs more than a copy, and with a fast disk that is most of the time. What
/// cannot be read past the cache is read through it. Throws what `read` throws.
void read_in_chunks(const ByteSource& source, uint64_t count, uint64_t wanted, Passes passes,
                    const ReadChunks& read);

}  // namespace checkpoint::store
