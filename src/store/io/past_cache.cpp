#include "store/io/past_cache.h"

#include "base/aligned_buffer.h"
#include "base/digest.h"
#include "store/io/file.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>

namespace checkpoint::store {
namespace {

// One thread's view of a source past the page cache. It reads a window, which the disk needs for
// its full speed, and copies from there. Reads must go forward. Not thread-safe.
class Window final : public ByteSource {
 public:
  // Both must outlive this. `direct` takes aligned reads only.
  Window(const ByteSource& source, const ByteSource& direct)
      : source_(source),
        direct_(direct),
        aligned_size_(source.size() / kDirectAlignment * kDirectAlignment),
        window_(base::aligned_buffer(kBytes, base::Pages::kHuge)) {}

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

double seconds(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

bool is_mostly_cached(const ByteSource& source, uint64_t count) {
  constexpr uint64_t kSamples = 16;
  uint64_t cached = 0;
  for (uint64_t i = 0; i < kSamples; ++i) cached += source.is_cached(count / kSamples * i) ? 1 : 0;
  return cached * 2 >= kSamples;
}

// While some threads digest, others must wait for the disk.
size_t direct_threads() { return std::clamp<size_t>(2 * base::thread_count(), 4, 32); }

// How many chunks are read in each of the two ways before one of them is chosen.
size_t trial_chunks() { return std::min<size_t>(direct_threads(), 16); }

// The two ways to read the chunks from `begin` to `end`.
struct Ways {
  const ByteSource& source;
  const ByteSource* direct;
  const ReadChunks& read;

  void through_cache(size_t begin, size_t end) const {
    base::parallel_for(begin, end, base::thread_count(),
                       [&](base::Indices& chunks) { read(source, chunks); });
  }
  void past_cache(size_t begin, size_t end) const {
    base::parallel_for(begin, end, direct_threads(), [&](base::Indices& chunks) {
      const Window window(source, *direct);
      read(window, chunks);
    });
  }
};

}  // namespace

size_t least_large_chunks() { return 4 * trial_chunks(); }

void read_in_chunks(const ByteSource& source, uint64_t count, uint64_t wanted, Passes passes,
                    const ReadChunks& read) {
  const auto chunks = static_cast<size_t>((count + base::kChunkBytes - 1) / base::kChunkBytes);
  const size_t trial = trial_chunks();
  std::unique_ptr<ByteSource> direct;
  if (chunks >= least_large_chunks() && wanted >= count / 2 && !is_mostly_cached(source, count)) {
    direct = source.past_cache();
  }
  const Ways ways = {source, direct.get(), read};
  if (direct == nullptr) return ways.through_cache(0, chunks);

  const double past = seconds([&] { ways.past_cache(0, trial); });
  const double through = seconds([&] { ways.through_cache(trial, 2 * trial); });
  // A second pass past the cache costs the same again; through the cache, little.
  const bool is_faster = passes == Passes::kOne ? past < through : 2 * past < through;
  is_faster ? ways.past_cache(2 * trial, chunks) : ways.through_cache(2 * trial, chunks);
}

}  // namespace checkpoint::store
