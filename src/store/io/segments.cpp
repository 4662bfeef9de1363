// Reads pieces of a source into memory, and digests the source, with all cores:
//
//   1. Sort the segments by offset. Segments that overlap an earlier one (views of one storage) are
//      set apart and read last, one by one.
//   2. Give the source to the threads chunk by chunk. A thread reads its chunk from start to end,
//      each byte into the segment that it belongs to.
//   3. Small segments that are close to each other are read together, into a block.
//   4. Bytes outside all segments are skipped. If the whole source must be digested, they are read
//      into a block that is reused.
//   5. Bytes that are in memory already (ByteSource::view) are digested there. Those of a segment
//      are then copied.
//
// Reading and digesting use blocks that fit into a core's own cache. past_cache.cpp decides how the
// chunks come from the disk.

#include "store/io/segments.h"

#include "base/digest.h"
#include "base/parallel.h"
#include "base/stream_copy.h"
#include "store/io/past_cache.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <memory>
#include <string_view>
#include <utility>

namespace checkpoint::store {
namespace {

uint64_t end_of(const Segment& segment) { return segment.offset + segment.bytes; }

// Sorts by offset. Removes and returns the segments that overlap an earlier one.
std::vector<Segment> take_overlapping(std::vector<Segment>& segments) {
  std::sort(segments.begin(), segments.end(),
            [](const Segment& left, const Segment& right) { return left.offset < right.offset; });
  std::vector<Segment> apart;
  std::vector<Segment> overlapping;
  for (const Segment& segment : segments) {
    if (segment.bytes == 0) continue;
    const bool overlaps = !apart.empty() && segment.offset < end_of(apart.back());
    (overlaps ? overlapping : apart).push_back(segment);
  }
  segments = std::move(apart);
  return overlapping;
}

// Reads chunks of a source. Each thread has its own.
class ChunkReader {
 public:
  ChunkReader(const ByteSource& source, const std::vector<Segment>& segments, bool all)
      : source_(source), segments_(segments), all_(all) {}

  // Reads from `begin` to `end`. Writes the digest of these bytes to `digest` unless it is null.
  // Returns how many bytes were read.
  uint64_t read(uint64_t begin, uint64_t end, char* digest) {
    digest_.reset();
    read_ = 0;
    uint64_t at = begin;
    auto segment = std::upper_bound(
        segments_.begin(), segments_.end(), begin,
        [](uint64_t offset, const Segment& other) { return offset < end_of(other); });
    while (segment != segments_.end() && segment->offset < end) {
      if (segment->offset > at) skip(at, segment->offset);
      at = std::max(at, segment->offset);
      const Place after = end_of_run(segment, at, end);
      if (after - segment > 1) {
        at = take_run(segment, after);
        segment = after;
        continue;
      }
      const uint64_t stop = std::min(end, end_of(*segment));
      take(at, stop, segment->to + (at - segment->offset));
      at = stop;
      ++segment;
    }
    skip(at, end);
    if (digest != nullptr) digest_.finish_into(digest);
    return read_;
  }

 private:
  using Place = std::vector<Segment>::const_iterator;

  // A read of the system costs more than so many bytes.
  static constexpr uint64_t kSmall = uint64_t{16} << 10;
  static constexpr uint64_t kNear = uint64_t{4} << 10;

  // Returns the end of the segments from `first` on that are small and close to each other, and
  // fit into one block. None of them may begin before `at`, or end after `end`. Bytes that are in
  // memory already need no run.
  Place end_of_run(Place first, uint64_t at, uint64_t end) const {
    if (first->offset < at || !source_.view(at, 1).empty()) return first;
    Place place = first;
    uint64_t last = at;
    while (place != segments_.end() && place->bytes <= kSmall && place->offset - last <= kNear &&
           end_of(*place) <= end && end_of(*place) - at <= base::kBlockBytes) {
      last = end_of(*place);
      ++place;
    }
    return place;
  }

  // Reads the segments from `first` on at once. Returns where the last of them ends.
  uint64_t take_run(Place first, Place after) {
    const uint64_t from = first->offset;
    const uint64_t to = end_of(*(after - 1));
    char* const memory = block();
    source_.read_at(from, memory, static_cast<size_t>(to - from));
    if (all_) {
      digest_.add(memory, static_cast<size_t>(to - from));
      read_ += to - from;
    }
    for (; first != after; ++first) {
      std::memcpy(first->to, memory + (first->offset - from), first->bytes);
      if (!all_) read_ += first->bytes;
    }
    return to;
  }

  // Reads to `place`, unless it is null.
  void take(uint64_t from, uint64_t to, char* place) {
    while (from < to) {
      auto bytes = static_cast<size_t>(std::min<uint64_t>(base::kBlockBytes, to - from));
      const std::string_view view = source_.view(from, bytes);
      if (!view.empty()) {
        bytes = view.size();
        if (all_) digest_.add(view.data(), bytes);
        if (place != nullptr) base::stream_copy(place, view.data(), bytes);
      } else {
        char* const memory = place != nullptr ? place : block();
        source_.read_at(from, memory, bytes);
        if (all_) digest_.add(memory, bytes);
      }
      from += bytes;
      if (place != nullptr) place += bytes;
      read_ += bytes;
    }
  }

  void skip(uint64_t from, uint64_t to) {
    if (all_) take(from, to, nullptr);
  }

  char* block() {
    if (!block_) block_.reset(new char[base::kBlockBytes]);
    return block_.get();
  }

  const ByteSource& source_;
  const std::vector<Segment>& segments_;
  const bool all_;
  std::unique_ptr<char[]> block_;
  base::StreamDigest digest_;
  uint64_t read_ = 0;
};

// Returns whether any segment has bytes between `begin` and `end`.
bool holds_any(const std::vector<Segment>& segments, uint64_t begin, uint64_t end) {
  const auto first = std::upper_bound(
      segments.begin(), segments.end(), begin,
      [](uint64_t offset, const Segment& other) { return offset < end_of(other); });
  return first != segments.end() && first->offset < end;
}

// Asks the disk for the chunk that this thread will probably take next, while it works on `chunk`.
// Asks for no more than the first `count` bytes.
void tell_ahead(const ByteSource& source, size_t chunk, const base::Indices& chunks,
                uint64_t count) {
  const size_t ahead = chunk + base::thread_count();
  if (ahead >= chunks.end()) return;
  const uint64_t begin = static_cast<uint64_t>(ahead) * base::kChunkBytes;
  source.will_read(begin, std::min<uint64_t>(base::kChunkBytes, count - begin));
}

void read_overlapping(const ByteSource& source, const std::vector<Segment>& segments,
                      base::Meter* meter) {
  for (const Segment& segment : segments) {
    source.read_at(segment.offset, segment.to, segment.bytes);
    if (meter != nullptr) meter->add(segment.bytes);
  }
}

}  // namespace

void read_segments(const ByteSource& source, std::vector<Segment> segments, base::Meter* meter) {
  const std::vector<Segment> overlapping = take_overlapping(segments);
  const uint64_t count = segments.empty() ? 0 : end_of(segments.back());
  uint64_t wanted = 0;
  for (const Segment& segment : segments) wanted += segment.bytes;
  const auto read = [&](const ByteSource& own, base::Indices& chunks) {
    ChunkReader reader(own, segments, false);
    for (size_t chunk = 0; chunks.next(chunk);) {
      const uint64_t begin = static_cast<uint64_t>(chunk) * base::kChunkBytes;
      const uint64_t end = std::min<uint64_t>(count, begin + base::kChunkBytes);
      if (!holds_any(segments, begin, end)) continue;
      tell_ahead(own, chunk, chunks, count);
      const uint64_t bytes = reader.read(begin, end, nullptr);
      if (meter != nullptr) meter->add(bytes);
    }
  };
  read_in_chunks(source, count, wanted, read);
  read_overlapping(source, overlapping, meter);
}

namespace {

// Reads by `read_all`, which calls its argument for all chunks of the first `count` bytes.
template <typename ReadAll>
std::string digest_by(const ReadAll& read_all, uint64_t count, const std::vector<Segment>& segments,
                      base::Meter* meter) {
  const auto chunks = static_cast<size_t>((count + base::kChunkBytes - 1) / base::kChunkBytes);
  std::string digests(chunks * base::kDigestBytes, '\0');
  read_all([&](const ByteSource& own, base::Indices& left) {
    ChunkReader reader(own, segments, true);
    for (size_t chunk = 0; left.next(chunk);) {
      const uint64_t begin = static_cast<uint64_t>(chunk) * base::kChunkBytes;
      const uint64_t end = std::min<uint64_t>(count, begin + base::kChunkBytes);
      tell_ahead(own, chunk, left, count);
      const uint64_t bytes = reader.read(begin, end, &digests[chunk * base::kDigestBytes]);
      if (meter != nullptr) meter->add(bytes);
    }
  });
  return base::xxh3_128(digests.data(), digests.size());
}

}  // namespace

std::string read_and_digest(const ByteSource& source, uint64_t count, std::vector<Segment> segments,
                            base::Meter* meter) {
  const std::vector<Segment> overlapping = take_overlapping(segments);
  const std::string digest =
      digest_by([&](const ReadChunks& read) { read_in_chunks(source, count, count, read); }, count,
                segments, meter);
  read_overlapping(source, overlapping, nullptr);
  return digest;
}

std::string digest_of(const ByteSource& source, uint64_t count, base::Meter* meter) {
  return read_and_digest(source, count, {}, meter);
}

std::string digest_first(const ByteSource& source, uint64_t count, base::Meter* meter) {
  return digest_by([&](const ReadChunks& read) { read_in_chunks_first(source, count, read); },
                   count, {}, meter);
}

std::string digest_keeping(KeptBytes& source, uint64_t count, base::Meter* meter) {
  return digest_by([&](const ReadChunks& read) { read_in_chunks_keeping(source, count, read); },
                   count, {}, meter);
}

}  // namespace checkpoint::store
