#include "store/io/past_cache.h"

#include "base/digest.h"
#include "base/stopwatch.h"
#include "store/io/window.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <memory>
#include <optional>
#include <random>
#include <utility>
#include <vector>

namespace checkpoint::store {
namespace {

// Looks at other places each time: asking may make the kernel read a place and what follows it, and
// the answer for the whole file would be yes the next time.
bool is_mostly_cached(const ByteSource& source, uint64_t count) {
  constexpr uint64_t kSamples = 16;
  std::minstd_rand random(
      static_cast<uint32_t>(std::chrono::steady_clock::now().time_since_epoch().count()));
  const uint64_t stride = count / kSamples;
  uint64_t cached = 0;
  for (uint64_t i = 0; i < kSamples; ++i) {
    cached += source.is_cached(stride * i + random() % stride) ? 1 : 0;
  }
  return cached * 4 >= kSamples * 3;
}

// While some threads digest, others must wait for the disk.
size_t direct_threads() { return std::clamp<size_t>(2 * base::thread_count(), 8, 32); }

// How many chunks are read in each way before one of them is chosen: one for each thread past the
// cache, and two for each through it, of which the second is read ahead. At most 16.
size_t chunks_tried_past() { return std::min<size_t>(direct_threads(), 16); }
size_t chunks_tried_through() { return std::min<size_t>(2 * base::thread_count(), 16); }

// After so many chunks the ways are compared again, then after twice as many, and so on: at each
// end some threads wait for the others.
size_t first_batch_chunks() { return 8 * direct_threads(); }

// The seconds for a chunk in a way that was not tried: slower than any other.
constexpr double kNotTried = std::numeric_limits<double>::infinity();

// Whether it can wait to try the way through the cache: 0.5 GB/s for each core is about what that
// reaches where new pages are dear. To try it takes as long as a tenth of a file of 1 GB.
bool is_fast(double seconds_for_chunk) {
  const double bytes_per_second = base::kChunkBytes / seconds_for_chunk;
  return bytes_per_second > 0.5e9 * static_cast<double>(base::thread_count());
}
// After so many chunks it is tried in any case.
size_t chunks_until_tried() { return 4 * first_batch_chunks(); }

// Whether the rest should be read past the cache. `past` and `through` are the seconds for a chunk.
bool is_past_faster(double past, double through, bool is_read_again) {
  if (!is_read_again) return past < through;
  // The second pass costs the same again past the cache. Through the cache it costs about a sixth
  // of the first: it needs no disk and no new pages.
  return 2 * past < through * 7 / 6;
}

void read_through_cache(const ByteSource& source, const ReadChunks& read, size_t begin,
                        size_t end) {
  base::parallel_for(begin, end, base::thread_count(),
                     [&](base::Indices& chunks) { read(source, chunks); });
}

// Reads a source past the cache, with a window for each thread.
class PastCache {
 public:
  // As for Window.
  PastCache(const ByteSource& source, const ByteSource& direct, KeptBytes* kept)
      : windows_(direct_threads()) {
    base::parallel_for(windows_.size(), [&](base::Indices& indices) {
      for (size_t i = 0; indices.next(i);) windows_[i].emplace(source, direct, kept);
    });
  }

  void start_keeping() {
    for (auto& window : windows_) window->start_keeping();
  }

  void read(const ReadChunks& read, size_t begin, size_t end) const {
    std::atomic<size_t> next{0};
    base::parallel_for(begin, end, windows_.size(),
                       [&](base::Indices& chunks) { read(*windows_[next++], chunks); });
  }

 private:
  std::vector<std::optional<Window>> windows_;
};

enum class Pass { kOnly, kFirstOfTwo };

// `kept` keeps what is read past the cache; null: nothing does.
void read_chunks(const ByteSource& source, uint64_t count, uint64_t wanted, Pass pass,
                 KeptBytes* kept, const ReadChunks& read) {
  const auto chunks = static_cast<size_t>((count + base::kChunkBytes - 1) / base::kChunkBytes);
  std::unique_ptr<ByteSource> direct;
  if (chunks >= least_large_chunks() && wanted >= count / 2 && !is_mostly_cached(source, count)) {
    direct = source.past_cache();
  }
  if (direct == nullptr) return read_through_cache(source, read, 0, chunks);

  if (kept != nullptr) kept->make_room(direct_threads());
  PastCache past_cache(source, *direct, kept);
  size_t done = 0;
  const auto read_next = [&](size_t most, const auto& read_from_to) {
    const size_t begin = std::exchange(done, std::min(done + most, chunks));
    base::Stopwatch watch;
    read_from_to(begin, done);
    return watch.lap() / static_cast<double>(done - begin);
  };
  // Both return the seconds for a chunk.
  const auto read_past = [&](size_t most) {
    return read_next(most, [&](size_t begin, size_t end) { past_cache.read(read, begin, end); });
  };
  const auto read_through = [&](size_t most) {
    return read_next(
        most, [&](size_t begin, size_t end) { read_through_cache(source, read, begin, end); });
  };

  double past = read_past(chunks_tried_past());
  double through = kNotTried;
  if (pass == Pass::kFirstOfTwo) {
    // The second pass tries these chunks through the cache, so they must not be there already.
    read_past(chunks_tried_through());
    past_cache.start_keeping();
  }
  size_t batch = first_batch_chunks();
  while (done < chunks) {
    if (through == kNotTried && (!is_fast(past) || done >= chunks_until_tried())) {
      through = read_through(chunks_tried_through());
      continue;
    }
    // What is kept is copied by the second pass, as it would be from the cache.
    const bool is_kept = kept != nullptr && kept->has_room();
    if (is_past_faster(past, through, pass == Pass::kFirstOfTwo && !is_kept)) {
      past = read_past(batch);
    } else {
      through = read_through(batch);
    }
    batch *= 2;
  }
}

}  // namespace

size_t least_large_chunks() { return 2 * (chunks_tried_past() + chunks_tried_through()); }

void read_in_chunks(const ByteSource& source, uint64_t count, uint64_t wanted,
                    const ReadChunks& read) {
  read_chunks(source, count, wanted, Pass::kOnly, nullptr, read);
}

void read_in_chunks_first(const ByteSource& source, uint64_t count, const ReadChunks& read) {
  read_chunks(source, count, count, Pass::kFirstOfTwo, nullptr, read);
}

void read_in_chunks_keeping(KeptBytes& source, uint64_t count, const ReadChunks& read) {
  read_chunks(source, count, count, Pass::kFirstOfTwo, &source, read);
}

}  // namespace checkpoint::store
