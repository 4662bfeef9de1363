#include "store/io/past_cache.h"

#include "base/digest.h"
#include "store/io/file.h"
#include "store/io/kept_bytes.h"
#include "store/io/segments.h"
#include "support/catch.h"
#include "support/cold_disk.h"
#include "support/error_of.h"
#include "support/sanitized.h"
#include "support/temporary_directory.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

using namespace checkpoint;
using namespace checkpoint::store;
using test::ColdDisk;

namespace {

// A source of zeros that is slow through the cache, but for the first bytes.
class SlowsDown final : public ByteSource {
 public:
  explicit SlowsDown(uint64_t size) : size_(size) {}

  const std::string& name() const override { return name_; }
  uint64_t size() const override { return size_; }
  bool is_cached(uint64_t) const override { return false; }
  std::unique_ptr<ByteSource> past_cache() const override {
    return std::make_unique<Direct>(size_);
  }
  void read_at(uint64_t, void*, size_t) const override {
    if (reads++ >= kFastReads) std::this_thread::sleep_for(std::chrono::milliseconds(60));
  }

  static constexpr int kFastReads = 16;
  mutable std::atomic<int> reads{0};

 private:
  struct Direct final : ByteSource {
    explicit Direct(uint64_t size) : bytes(size) {}
    const std::string& name() const override { return label; }
    uint64_t size() const override { return bytes; }
    void read_at(uint64_t, void*, size_t) const override {
      std::this_thread::sleep_for(std::chrono::milliseconds(80));
    }
    std::string label = "direct";
    uint64_t bytes;
  };

  std::string name_ = "slows down";
  uint64_t size_;
};

const uint64_t kBytes = least_large_chunks() * base::kChunkBytes + 4321;

struct Big {
  test::TemporaryDirectory root;
  std::string path = root / "big";
  std::string content;

  Big() {
    content.resize(kBytes);
    std::mt19937_64 random(7);
    for (size_t i = 0; i + 8 <= content.size(); i += 512) {
      const uint64_t number = random();
      content.replace(i, 8, reinterpret_cast<const char*>(&number), 8);
    }
    std::ofstream(path, std::ios::binary) << content;
  }

  std::string digest() const {
    base::FileDigest digest;
    digest.add(content.data(), content.size());
    return digest.finish();
  }
};

const Big& big() {
  static const Big file;
  return file;
}

// Pieces that begin and end anywhere, with gaps, and the last bytes.
std::vector<Segment> segments_into(std::string& memory) {
  memory.assign(kBytes, '\0');
  std::vector<Segment> segments;
  for (uint64_t at = 77; at + 3000000 < kBytes; at += 3000101) {
    segments.push_back({at, &memory[at], 3000000});
  }
  segments.push_back({kBytes - 1000, &memory[kBytes - 1000], 1000});
  return segments;
}

void check_segments(const std::string& memory) {
  std::string copy;
  for (const Segment& segment : segments_into(copy)) {
    INFO(segment.offset);
    CHECK(memory.compare(segment.offset, segment.bytes, big().content, segment.offset,
                         segment.bytes) == 0);
  }
}

}  // namespace

TEST_CASE("A large file that is not in the cache is read in the faster way") {
  std::string memory;
  for (const bool direct_is_faster : {true, false}) {
    ColdDisk disk(direct_is_faster ? ColdDisk::Slow::kThroughCache : ColdDisk::Slow::kPastCache);
    // Far slower than all else, also on a busy machine.
    disk.per_byte_ *= test::kSanitized ? 20 : 5;
    const File file = File::open(disk, big().path);
    CHECK(read_and_digest(file, kBytes, segments_into(memory), nullptr) == big().digest());
    check_segments(memory);
    CHECK((disk.past_cache > disk.through_cache) == direct_is_faster);
    CHECK(disk.past_cache > 0);
    CHECK(disk.through_cache > 0);
    CHECK(disk.past_cache + disk.through_cache == kBytes);

    read_segments(file, segments_into(memory), nullptr);
    check_segments(memory);
  }
}

TEST_CASE("The cache is used where it has the file, or where nothing can be read past it") {
  std::string memory;
  ColdDisk disk(ColdDisk::Slow::kThroughCache);
  const File file = File::open(disk, big().path);
  SECTION("it is cached") { disk.is_cached_ = true; }
  SECTION("the file system has no direct reads") { disk.has_direct_ = false; }
  CHECK(read_and_digest(file, kBytes, segments_into(memory), nullptr) == big().digest());
  check_segments(memory);
  CHECK(disk.past_cache == 0);
}

TEST_CASE("A few small pieces are not worth a pass past the cache") {
  ColdDisk disk(ColdDisk::Slow::kThroughCache);
  const File file = File::open(disk, big().path);
  std::string first(100, '\0'), last(100, '\0');
  read_segments(file, {{5, first.data(), 100}, {kBytes - 100, last.data(), 100}}, nullptr);
  CHECK(first == big().content.substr(5, 100));
  CHECK(last == big().content.substr(kBytes - 100));
  CHECK(disk.past_cache == 0);
  CHECK(disk.through_cache == 200);
}

TEST_CASE("Where direct reads fail, the plain ones take over and say what is wrong") {
  std::string memory;
  ColdDisk disk(ColdDisk::Slow::kThroughCache);
  disk.is_broken_ = true;
  const File file = File::open(disk, big().path);
  CHECK(read_and_digest(file, kBytes, segments_into(memory), nullptr) == big().digest());
  check_segments(memory);
  CHECK(disk.past_cache > 0);

  // Someone shortened it after its size was checked.
  const test::TemporaryDirectory root;
  const std::string shorter = root / "shorter";
  std::ofstream(shorter, std::ios::binary) << big().content.substr(0, kBytes / 2);
  const File torn = File::open(disk, shorter);
  disk.is_broken_ = false;
  const std::string error = error_of([&] { digest_of(torn, kBytes); });
  INFO(error);
  CHECK(contains(error, "corrupt: the file is truncated"));
  CHECK(contains(error, shorter));
}

TEST_CASE("A first pass goes past the cache only if the second may do so too") {
  ColdDisk disk(ColdDisk::Slow::kPastCache);
  const File file = File::open(disk, big().path);
  CHECK(digest_first(file, kBytes, nullptr) == big().digest());
  // What is tried, and the chunks that are left for the second pass to try through the cache.
  CHECK(disk.past_cache == least_large_chunks() / 2 * base::kChunkBytes);
}

TEST_CASE("What a first pass keeps is not read again") {
  ColdDisk disk(ColdDisk::Slow::kThroughCache);
  // Four times as many threads read past the cache, so that this is the faster way.
  disk.both_slow_ = true;
  disk.per_byte_ *= 2;
  const File file = File::open(disk, big().path);
  KeptBytes kept(file, [] { return 4 * kBytes; });
  CHECK(digest_keeping(kept, kBytes, nullptr) == big().digest());
  CHECK(disk.read() == kBytes);
  const uint64_t aligned = kBytes / kDirectAlignment * kDirectAlignment;
  uint64_t bytes = 0;
  for (uint64_t at = 0; at < aligned; at += KeptBytes::kPieceBytes) {
    const uint64_t count = std::min<uint64_t>(KeptBytes::kPieceBytes, aligned - at);
    bytes += kept.view(at, count).size();
  }
  CHECK(bytes >= 4 * KeptBytes::kPieceBytes);  // Until it is known what memory costs.

  std::string memory;
  if (GENERATE(true, false)) {
    CHECK(read_and_digest(kept, kBytes, segments_into(memory), nullptr) == big().digest());
    CHECK(disk.read() == 2 * kBytes - bytes);
  } else {
    read_segments(kept, segments_into(memory), nullptr);
  }
  check_segments(memory);
  // Pieces that begin and end anywhere.
  std::string piece(5'000'001, '\0');
  for (uint64_t at = 0; at + piece.size() <= kBytes; at += kBytes / 17) {
    kept.read_at(at, piece.data(), piece.size());
    CHECK(big().content.compare(at, piece.size(), piece) == 0);
  }
}

TEST_CASE("Nothing is kept where the file is larger than a quarter of the memory") {
  ColdDisk disk(ColdDisk::Slow::kThroughCache);
  const File file = File::open(disk, big().path);
  KeptBytes kept(file, [] { return 4 * kBytes - 4; });
  CHECK_FALSE(kept.make_room(8));
  CHECK(kept.room_for(0) == nullptr);
  CHECK(digest_keeping(kept, kBytes, nullptr) == big().digest());
  CHECK_FALSE(kept.has_room());
  std::string memory;
  read_segments(kept, segments_into(memory), nullptr);
  check_segments(memory);
}

TEST_CASE("Nothing more is kept when others take the memory meanwhile") {
  const File file = File::open(posix_file_system(), big().path);
  std::atomic<int> asked{0};
  KeptBytes kept(file, [&] { return asked++ < 1 ? 4 * kBytes : kBytes; });
  REQUIRE(kept.make_room(8));
  uint64_t at = 0;
  for (; asked < 2 && at < kBytes; at += KeptBytes::kPieceBytes) {
    CHECK(kept.has_room());
    char* const room = kept.room_for(at);
    if (room == nullptr) break;
    file.read_at(at, room, KeptBytes::kPieceBytes);
    kept.keep(at, KeptBytes::kPieceBytes);
  }
  CHECK(asked == 2);
  CHECK_FALSE(kept.has_room());
  CHECK(kept.room_for(at) == nullptr);
  CHECK(kept.view(at - 1, 2).size() == 1);  // What was kept before stays.
  std::string memory;
  read_segments(kept, segments_into(memory), nullptr);
  check_segments(memory);
}

TEST_CASE("A direct read that fails is not kept") {
  ColdDisk disk(ColdDisk::Slow::kThroughCache);
  disk.is_broken_ = true;
  const File file = File::open(disk, big().path);
  KeptBytes kept(file, [] { return 4 * kBytes; });
  CHECK(digest_keeping(kept, kBytes, nullptr) == big().digest());
  for (uint64_t at = 0; at < kBytes; at += KeptBytes::kPieceBytes) {
    CHECK(kept.view(at, 1).empty());
  }
  std::string memory;
  read_segments(kept, segments_into(memory), nullptr);
  check_segments(memory);
}

TEST_CASE("Pieces are kept while that takes less time than to read them again") {
  KeepPrice price(/*fetchers=*/2, /*readers=*/8);
  for (int i = 0; i < 3; ++i) {
    price.fetched(1);
    CHECK(price.is_worth_it());  // Too little is known.
    price.read(0.001);
  }
  price.fetched(1);
  price.read(0.001);
  CHECK_FALSE(price.is_worth_it());

  // Two threads fetch 20 pieces in a second, eight read 16.
  for (int i = 0; i < 100; ++i) {
    price.fetched(0.1);
    price.read(0.5);
  }
  CHECK(price.is_worth_it());
  // And 12 where memory gets dearer: that is found out soon.
  for (int i = 0; i < 16; ++i) price.fetched(0.17);
  CHECK_FALSE(price.is_worth_it());
}

TEST_CASE("The way is changed when it turns out to be the slower one") {
  constexpr int kChunks = 600;
  const SlowsDown source(kChunks * base::kChunkBytes);
  std::atomic<int> read{0};
  read_in_chunks(source, source.size(), source.size(),
                 [&](const ByteSource& own, base::Indices& chunks) {
                   char byte = 0;
                   for (size_t chunk = 0; chunks.next(chunk); ++read) {
                     own.read_at(chunk * base::kChunkBytes, &byte, 1);
                   }
                 });
  CHECK(read == kChunks);
  CHECK(source.reads < kChunks / 2);  // On a busy machine it may go past the cache at once.
}

// As it would be if each question made the kernel read what was asked for.
TEST_CASE("To ask whether a file is in the cache does not put it there") {
  const test::TemporaryDirectory root;
  const std::string path = root / "file";
  std::ofstream(path, std::ios::binary) << std::string(8 << 20, 'x');
  File file = File::open(posix_file_system(), path);
  file.sync();
  file.drop_cache();
  for (uint64_t at = 4321; at < file.size(); at += 1 << 20) {
    const bool is_cached = file.is_cached(at);  // In some file systems it always is.
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    CHECK(file.is_cached(at) == is_cached);
  }
}
