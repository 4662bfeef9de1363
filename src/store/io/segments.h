#pragma once

#include "base/meter.h"
#include "store/io/byte_source.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace checkpoint::store {

/// A piece of a source, and the memory that it goes into.
struct Segment {
  uint64_t offset;
  char* to;
  size_t bytes;
};

/// Reads pieces into their places with all cores: large ones are split, small ones go together.
/// `meter` may be null. Throws what the source's read_at throws.
void read_segments(const ByteSource& source, std::vector<Segment> segments, base::Meter* meter);

/// The digest of the source's first `count` bytes, read with all cores: as FileDigest gives it.
std::string digest_of(const ByteSource& source, uint64_t count, base::Meter* meter = nullptr);

/// Both in one pass: reads the pieces, and returns the digest of the source's first `count` bytes,
/// which hold all of them. Everything is digested where it has arrived.
std::string read_and_digest(const ByteSource& source, uint64_t count, std::vector<Segment> segments,
                            base::Meter* meter);

}  // namespace checkpoint::store
