#include "support/catch.h"

#include "base/aligned_buffer.h"
#include "base/stream_copy.h"

#include <cstring>
#include <utility>

using namespace checkpoint;

TEST_CASE("stream_copy copies every byte and none beside, whatever the size and the places") {
  constexpr size_t kStep = 16384;
  const base::AlignedBuffer from = base::aligned_buffer(base::kHugePageBytes, base::Pages::kSmall);
  const base::AlignedBuffer to = base::aligned_buffer(base::kHugePageBytes, base::Pages::kSmall);
  for (size_t i = 0; i < 5 * kStep; ++i) from.get()[i] = static_cast<char>(i * 131 + i / 251);
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{63}, size_t{64}, size_t{4096}, kStep - 1,
                             kStep, kStep + 1, 3 * kStep + 4097}) {
    for (const auto& [source, target] : {std::pair{0, 64}, {1, 64}, {8, 16}, {63, 1}, {64, 127}}) {
      CAPTURE(bytes, source, target);
      std::memset(to.get(), '#', 5 * kStep);
      base::stream_copy(to.get() + target, from.get() + source, bytes);
      CHECK(std::memcmp(to.get() + target, from.get() + source, bytes) == 0);
      CHECK(to.get()[target - 1] == '#');
      CHECK(to.get()[target + bytes] == '#');
    }
  }
}
