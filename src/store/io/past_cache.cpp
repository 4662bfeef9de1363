#include "store/io/past_cache.h"

#include "base/aligned_buffer.h"
#include "base/digest.h"
#include "base/stopwatch.h"
#include "store/io/file.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <utility>
#include <vector>

namespace checkpoint::store {
namespace {

// One thread's view of a source past the page cache. It reads a window, which the disk needs for
// its full speed, and copies from there. Best if reads go forward. Not thread-safe.
class Window final : public ByteSource {
 public:
  // Both must outlive this. `direct` takes aligned reads only.
  Window(const ByteSource& source, const ByteSource& direct)
      : source_(source),
        direct_(direct),
        aligned_size_(source.size() / kDirectAlignment * kDirectAlignment),
        window_(base::aligned_buffer(kBytes, base::Pages::kHuge)) {
    // Fetches the pages now: a new one may cost more than a read.
    for (size_t at = 0; at < kBytes; at += kDirectAlignment) window_.get()[at] = 0;
  }

  const std::string& name() const override { return source_.name(); }
  uint64_t size() const override { return source_.size(); }

  void read_at(uint64_t offset, void* to, size_t count) const override {
    char* place = static_cast<char*>(to);
    while (count > 0) {
      if (offset < begin_ || offset >= end_) fill(offset);
      if (offset >= end_) return source_.read_at(offset, place, count);
      const auto piece = static_cast<size_t>(std::min<uint64_t>(count, end_ - offset));
      std::memcpy(place, window_.get() + (offset - begin_), piece);
      place += piece;
      offset += piece;
      count -= piece;
    }
  }

 private:
  static constexpr uint64_t kBytes = base::kHugePageBytes;

  // After it the window begins at or before `offset`. It is empty where nothing can be read past
  // the cache: in the file's last bytes, and where the disk fails, which the plain read then says.
  void fill(uint64_t offset) const {
    begin_ = end_ = offset / kDirectAlignment * kDirectAlignment;
    const uint64_t until = std::min(aligned_size_, (offset / kBytes + 1) * kBytes);
    if (until <= begin_) return;
    try {
      direct_.read_at(begin_, window_.get(), static_cast<size_t>(until - begin_));
      end_ = until;
    } catch (const Error&) {
    }
  }

  const ByteSource& source_;
  const ByteSource& direct_;
  const uint64_t aligned_size_;
  const base::AlignedBuffer window_;
  mutable uint64_t begin_ = 0;
  mutable uint64_t end_ = 0;
};

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

// How many chunks are read in each of the two ways before one of them is chosen: one for each
// thread past the cache, and two for each through it, of which the second is read ahead. At
// most 16.
size_t chunks_tried_past() { return std::min<size_t>(direct_threads(), 16); }
size_t chunks_tried_through() { return std::min<size_t>(2 * base::thread_count(), 16); }

// After so many chunks the ways are compared again, then after twice as many, and so on: at each
// end some threads wait for the others.
size_t first_batch_chunks() { return 8 * direct_threads(); }

// Whether the rest should be read past the cache. The arguments are the seconds for a chunk.
bool is_past_faster(double past, double through, Passes passes) {
  if (passes == Passes::kOne) return past < through;
  // A second pass past the cache costs the same again. Through the cache it costs about a sixth of
  // the first: it needs no disk and no new pages.
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
  // Both must outlive this.
  PastCache(const ByteSource& source, const ByteSource& direct) : windows_(direct_threads()) {
    base::parallel_for(windows_.size(), [&](base::Indices& indices) {
      for (size_t i = 0; indices.next(i);) windows_[i].emplace(source, direct);
    });
  }

  void read(const ReadChunks& read, size_t begin, size_t end) const {
    std::atomic<size_t> next{0};
    base::parallel_for(begin, end, windows_.size(),
                       [&](base::Indices& chunks) { read(*windows_[next++], chunks); });
  }

 private:
  std::vector<std::optional<Window>> windows_;
};

}  // namespace

size_t least_large_chunks() { return 2 * (chunks_tried_past() + chunks_tried_through()); }

void read_in_chunks(const ByteSource& source, uint64_t count, uint64_t wanted, Passes passes,
                    const ReadChunks& read) {
  const auto chunks = static_cast<size_t>((count + base::kChunkBytes - 1) / base::kChunkBytes);
  std::unique_ptr<ByteSource> direct;
  if (chunks >= least_large_chunks() && wanted >= count / 2 && !is_mostly_cached(source, count)) {
    direct = source.past_cache();
  }
  if (direct == nullptr) return read_through_cache(source, read, 0, chunks);

  const PastCache past_cache(source, *direct);
  size_t done = 0;
  double past = 0;     // Seconds for a chunk,
  double through = 0;  // when it was last read in this way.
  const auto read_next = [&](size_t most, const auto& read_from_to) {
    const size_t begin = std::exchange(done, std::min(done + most, chunks));
    base::Stopwatch watch;
    read_from_to(begin, done);
    return watch.lap() / static_cast<double>(done - begin);
  };
  const auto read_past = [&](size_t most) {
    past = read_next(most, [&](size_t begin, size_t end) { past_cache.read(read, begin, end); });
  };
  const auto read_through = [&](size_t most) {
    through = read_next(
        most, [&](size_t begin, size_t end) { read_through_cache(source, read, begin, end); });
  };
  if (passes == Passes::kOne) {
    read_past(chunks_tried_past());
    read_through(chunks_tried_through());
  } else {  // The other way round: the second pass must try chunks that are not in the cache.
    read_through(chunks_tried_through());
    read_past(chunks_tried_past());
  }
  size_t batch = first_batch_chunks();
  while (done < chunks) {
    is_past_faster(past, through, passes) ? read_past(batch) : read_through(batch);
    batch *= 2;
  }
}

}  // namespace checkpoint::store
