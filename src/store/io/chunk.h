#pragma once

#include "base/aligned_buffer.h"
#include "base/digest.h"
#include "store/io/byte_sink.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace checkpoint::store {

/// The checksums so far of lasting bytes that reach from one chunk into the next.
struct OpenSums {
  base::StreamDigest digest;
  uint32_t crc32 = 0;
};

/// Bytes that are filled in when the sums of those before them are known. They may reach into the
/// next chunk.
struct Late {
  ByteSink::Fill fill;
  size_t count;
  std::string bytes;  ///< What `fill` wrote. Empty before.
};

/// base::kChunkBytes of a file on their way to the disk. First it is told what belongs into it,
/// then `gather` brings it together, which takes most of the time and needs no other chunk, then
/// `settle` does what needs the sums of the chunk before. Not thread-safe.
class Chunk {
 public:
  /// Throws std::bad_alloc.
  explicit Chunk(base::Pages pages)
      : pages_(pages), buffer_(base::aligned_buffer(base::kChunkBytes, pages)) {}

  base::Pages pages() const { return pages_; }
  size_t room() const { return base::kChunkBytes - size_; }
  size_t size() const { return size_; }
  const char* data() const { return buffer_.get(); }

  /// These take `count` bytes; they must fit.
  void add(const char* data, size_t count);
  /// A part of some lasting bytes: their beginning if `first`, their end if `last`.
  void add_lasting(const char* data, size_t count, Sums* sums, bool first, bool last);
  /// The part of `late` that begins at its byte `from`.
  void add_late(std::shared_ptr<Late> late, size_t from, size_t count);

  /// Copies the lasting bytes and computes the sums of what begins here.
  void gather();
  /// Continues and ends the sums of what began in an earlier chunk, and fills in what is late. Call
  /// it after `gather`, for one chunk after the other. `open` is what the chunk before left.
  void settle(OpenSums& open);
  /// Forgets everything.
  void clear();

 private:
  struct Piece {
    size_t at;  // In the buffer.
    size_t count;
    const char* data = nullptr;  // Lasting bytes,
    Sums* sums = nullptr;
    bool first = false;
    bool last = false;
    uint32_t crc32 = 0;                    // and the CRC-32 of this piece of them.
    std::shared_ptr<Late> late = nullptr;  // Or late ones.
    size_t from = 0;
  };

  void gather(Piece& piece);
  void settle(const Piece& piece, OpenSums& open);

  base::Pages pages_;
  base::AlignedBuffer buffer_;
  size_t size_ = 0;
  std::vector<Piece> pieces_;  // Without what was copied at once.
  base::StreamDigest digest_;  // Of the lasting bytes that begin here and that were gathered last.
};

}  // namespace checkpoint::store
