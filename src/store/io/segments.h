#pragma once

#include "base/meter.h"
#include "store/io/byte_source.h"
#include "store/io/kept_bytes.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace checkpoint::store {

/// A piece of a source, and the memory to read it into.
struct Segment {
  uint64_t offset;
  char* to;
  size_t bytes;
};

/// Reads all segments with all cores. Large ones are split, small ones are read together. `meter`
/// may be null. Throws what the source's read_at throws.
void read_segments(const ByteSource& source, std::vector<Segment> segments, base::Meter* meter);

/// Returns the digest of the source's first `count` bytes, as base::FileDigest computes it. Reads
/// with all cores.
std::string digest_of(const ByteSource& source, uint64_t count, base::Meter* meter = nullptr);

/// The same for a source that is read again afterwards. The second one keeps in memory what it can.
std::string digest_first(const ByteSource& source, uint64_t count, base::Meter* meter);
std::string digest_keeping(KeptBytes& source, uint64_t count, base::Meter* meter);

/// Does both in one pass: reads the segments, and returns the digest of the source's first `count`
/// bytes. All segments must be within these bytes.
std::string read_and_digest(const ByteSource& source, uint64_t count, std::vector<Segment> segments,
                            base::Meter* meter);

}  // namespace checkpoint::store
