#include "catch.h"
#include "error_of.h"

#include "store/digest.h"
#include "store/segments.h"

#include <cstring>
#include <memory>
#include <string>
#include <vector>

using namespace checkpoint;
using namespace checkpoint::store;

namespace {

class Memory final : public ByteSource {
 public:
  explicit Memory(size_t size) : content_(size, '\0') {
    for (size_t i = 0; i < size; ++i) content_[i] = static_cast<char>((i * 2654435761u) >> 11);
  }
  const std::string& name() const override { return name_; }
  uint64_t size() const override { return content_.size(); }
  void read_at(uint64_t offset, void* to, size_t count) const override {
    if (offset + count > content_.size()) throw Error(ErrorCode::kCorrupt, "the end", name_);
    std::memcpy(to, content_.data() + offset, count);
  }
  const std::string& content() const { return content_; }

 private:
  std::string name_ = "memory";
  std::string content_;
};

constexpr size_t kSize = 3 * kChunkBytes + 12345;

// Pieces of all sizes, with and without gaps, over the borders of chunks and beyond each other.
const std::vector<std::pair<uint64_t, size_t>> kPieces = {
    {kChunkBytes - 5, 10},
    {100, 7},
    {107, 1},
    {0, 0},
    {500000, 300000},
    {600000, 10},
    {600000, 10},
    {kSize - 1, 1},
    {kChunkBytes + 1000, 2 * kChunkBytes - 500},
    {2 * kChunkBytes, 1 << 20},
    {8, kBlockBytes * 2}};

}  // namespace

TEST_CASE("Pieces of a file arrive in their places, and the digest is that of the whole") {
  const Memory source(kSize);
  FileDigest expected;
  expected.add(source.content().data(), kSize);
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
    const std::string content = source.content().substr(kPieces[i].first, kPieces[i].second);
    CHECK((places[i] == '#' + content + '#'));
  }
}

TEST_CASE("Nothing to read, and more to read than there is") {
  const Memory source(100);
  read_segments(source, {}, nullptr);
  CHECK(digest_of(source, 0) == FileDigest().finish());
  char place[200];
  CHECK(contains(error_of([&] {
                   read_segments(source, {{50, place, 51}}, nullptr);
                 }),
                 "corrupt: "));
  CHECK(contains(error_of([&] { digest_of(source, 101); }), "corrupt: "));
}

TEST_CASE("A meter adds up what all threads read") {
  const Memory source(kSize);
  Transfer last{Phase::kSnapshot};
  const OnTransfer told = [&](const Transfer& transfer) { last = transfer; };
  Meter meter(told, Phase::kVerify, kSize);
  digest_of(source, kSize, &meter);
  CHECK(last.phase == Phase::kVerify);
  CHECK(last.bytes_done == kSize);
  CHECK(last.bytes_total == kSize);
}
