#include "support/catch.h"
#include "support/counting_source.h"
#include "support/error_of.h"
#include "support/memory_source.h"

#include "store/io/buffered_source.h"

#include <string>

using namespace checkpoint;
using namespace checkpoint::store;

namespace {

constexpr size_t kSize = 100000;

}  // namespace

TEST_CASE("Small pieces are read many at a time, and are those of the source") {
  const MemorySource memory = MemorySource::of_size(kSize);
  const CountingSource counting(memory);
  const BufferedSource source(counting);
  CHECK(source.size() == kSize);
  CHECK(source.name() == memory.name());

  const auto same = [&](uint64_t offset, size_t count) {
    std::string piece(count, '\0');
    source.read_at(offset, piece.data(), count);
    return piece == memory.bytes().substr(offset, count);
  };
  for (uint64_t offset = 0; offset + 60 <= kSize; offset += 300) CHECK(same(offset, 60));
  CHECK(counting.reads < 10);
  CHECK(same(0, kSize));
  CHECK(same(5, 1));
  CHECK(same(4, 2));                // Before what is held,
  CHECK(same(16384, 30));           // behind it,
  CHECK(same(16384 + 16360, 100));  // over its end,
  CHECK(same(kSize - 10, 10));      // and up to the source's own.
  CHECK(same(kSize - 1, 1));
  CHECK(same(kSize, 0));
}

TEST_CASE("Reading beyond the end fails as it does in the source") {
  const MemorySource memory = MemorySource::of_size(kSize);
  const BufferedSource source(memory);
  char piece[100];
  for (const uint64_t offset : {uint64_t{kSize}, uint64_t{kSize - 5}, ~uint64_t{0}}) {
    CHECK(contains(error_of([&] { source.read_at(offset, piece, 10); }), "corrupt: read past"));
  }
  source.read_at(kSize - 20, piece, 20);
  CHECK(contains(error_of([&] { source.read_at(kSize - 20, piece, 21); }), "corrupt: read past"));
}
