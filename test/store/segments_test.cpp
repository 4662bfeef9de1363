#include "support/catch.h"
#include "support/counting_source.h"
#include "support/error_of.h"
#include "support/memory_source.h"

#include "base/digest.h"
#include "store/io/segments.h"

#include <memory>
#include <string>
#include <vector>

using namespace checkpoint;
using namespace checkpoint::store;

namespace {

constexpr size_t kSize = 3 * base::kChunkBytes + 12345;

// Pieces of all sizes, with and without gaps, over the borders of chunks and beyond each other.
const std::vector<std::pair<uint64_t, size_t>> kPieces = {
    {base::kChunkBytes - 5, 10},
    {100, 7},
    {107, 1},
    {0, 0},
    {500000, 300000},
    {600000, 10},
    {600000, 10},
    {kSize - 1, 1},
    {base::kChunkBytes + 1000, 2 * base::kChunkBytes - 500},
    {2 * base::kChunkBytes, 1 << 20},
    {8, base::kBlockBytes * 2}};

}  // namespace

TEST_CASE("Pieces of a file arrive in their places, and the digest is that of the whole") {
  const MemorySource source = MemorySource::of_size(kSize);
  base::FileDigest expected;
  expected.add(source.bytes().data(), kSize);
  const std::string digest = expected.finish();
  CHECK(digest_of(source, kSize) == digest);

  std::vector<std::string> places;
  std::vector<Segment> segments;
  for (const auto& [offset, bytes] : kPieces) places.emplace_back(bytes + 2, '#');
  for (size_t i = 0; i < kPieces.size(); ++i) {
    segments.push_back({kPieces[i].first, places[i].data() + 1, kPieces[i].second});
  }
  if (GENERATE(false, true)) {
    CHECK(read_and_digest(source, kSize, segments, nullptr) == digest);
  } else {
    read_segments(source, segments, nullptr);
  }
  for (size_t i = 0; i < kPieces.size(); ++i) {
    INFO("piece " << i);
    const std::string content = source.bytes().substr(kPieces[i].first, kPieces[i].second);
    CHECK((places[i] == '#' + content + '#'));
  }
}

TEST_CASE("Small pieces that are close to each other are read together") {
  const MemorySource content = MemorySource::of_size(kSize);
  const CountingSource source(content);
  // Over the borders of a block and of a chunk, with two pieces that are far from the others.
  std::vector<Segment> segments;
  size_t wanted = 0;
  const size_t begin = base::kChunkBytes - 1000000 + 1;
  std::string places(begin + 2000000, '#');
  const auto add = [&](size_t at, size_t bytes) {
    segments.push_back({at, places.data() + at, bytes});
    wanted += bytes;
  };
  for (size_t at = begin, i = 0; at < begin + 2000000 - 5000; at += 300 + i % 200, ++i) {
    // One lies on both sides of the border.
    const bool is_at_border = at < base::kChunkBytes && at + 500 > base::kChunkBytes;
    add(at, is_at_border ? base::kChunkBytes + 20 - at : 200 + i % 100);
  }
  const size_t span = segments.back().offset + segments.back().bytes - begin;
  add(5, 1);
  add(5000, 17000);
  add(50000, 100);
  add(100000, 100);
  std::string expected(places.size(), '#');
  for (const Segment& segment : segments) {
    expected.replace(segment.offset, segment.bytes, content.bytes(), segment.offset, segment.bytes);
  }
  Transfer last{Phase::kSnapshot};
  const OnTransfer told = [&](const Transfer& transfer) { last = transfer; };
  SECTION("alone") {
    base::Meter meter(told, Phase::kRead, wanted);
    read_segments(source, segments, &meter);
    CHECK(source.reads < 20);
    CHECK(source.bytes <= span + 17201);
    CHECK(last.bytes_done == wanted);
  }
  SECTION("with the digest of the whole") {
    base::Meter meter(told, Phase::kRead, kSize);
    CHECK(read_and_digest(source, kSize, segments, &meter) == digest_of(content, kSize));
    CHECK(source.reads < 40 + kSize / base::kBlockBytes);
    CHECK(source.bytes == kSize);
    CHECK(last.bytes_done == kSize);
  }
  CHECK((places == expected));
}

TEST_CASE("Nothing to read, and more to read than there is") {
  const MemorySource source = MemorySource::of_size(100);
  read_segments(source, {}, nullptr);
  CHECK(digest_of(source, 0) == base::FileDigest().finish());
  char place[200];
  CHECK(contains(error_of([&] {
                   read_segments(source, {{50, place, 51}}, nullptr);
                 }),
                 "corrupt: "));
  CHECK(contains(error_of([&] { digest_of(source, 101); }), "corrupt: "));
}

TEST_CASE("A meter adds up what all threads read") {
  const MemorySource source = MemorySource::of_size(kSize);
  Transfer last{Phase::kSnapshot};
  const OnTransfer told = [&](const Transfer& transfer) { last = transfer; };
  base::Meter meter(told, Phase::kVerify, kSize);
  digest_of(source, kSize, &meter);
  CHECK(last.phase == Phase::kVerify);
  CHECK(last.bytes_done == kSize);
  CHECK(last.bytes_total == kSize);
}
