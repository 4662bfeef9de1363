#pragma once

#include "base/aligned_buffer.h"
#include "store/io/byte_source.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace checkpoint::store {

/// Whether it is worth while to keep pieces of a file: where new memory is dear and the disk fast,
/// it takes less time to read them again. Not thread-safe.
class KeepPrice {
 public:
  /// So many threads fetch memory at once, and so many read at once.
  KeepPrice(size_t fetchers, size_t readers) : fetchers_(fetchers), readers_(readers) {}

  /// One thread has fetched the memory for a piece, in so many seconds.
  void fetched(double seconds) { fetch_.add(seconds); }
  /// One thread has read a piece, in so many seconds.
  void read(double seconds) { read_.add(seconds); }
  /// True for the first pieces, until enough is known.
  bool is_worth_it() const;

 private:
  // A mean in which the last values count most.
  class Mean {
   public:
    void add(double value) { mean_ += (value - mean_) / std::min(++count_, 16.0); }
    double value() const { return mean_; }
    bool is_known() const { return count_ >= 4; }

   private:
    double mean_ = 0;
    double count_ = 0;
  };

  size_t fetchers_;
  size_t readers_;
  Mean fetch_;
  Mean read_;
};

/// A source that is read twice. It keeps in memory what the first pass reads past the page cache.
/// The second pass then needs no disk, and finds the same bytes. The memory is as large as the
/// source, and at most a quarter of what is available; this is checked again as the memory fills.
/// Nothing more is kept when that takes longer than to read again. Thread-safe, but for make_room.
class KeptBytes final : public ByteSource {
 public:
  /// A piece is kept from its beginning on.
  static constexpr size_t kPieceBytes = base::kHugePageBytes;
  /// Returns the bytes of memory that can be had.
  using Available = std::function<uint64_t()>;

  /// `source` must outlive this. Takes no memory yet.
  explicit KeptBytes(const ByteSource& source, Available available = default_available());

  const std::string& name() const override { return source_.name(); }
  uint64_t size() const override { return size_; }
  void read_at(uint64_t offset, void* to, size_t count) const override;
  std::string_view view(uint64_t offset, size_t count) const override;
  void will_read(uint64_t offset, uint64_t count) const override;
  bool is_cached(uint64_t offset) const override;
  std::unique_ptr<ByteSource> past_cache() const override { return source_.past_cache(); }

  /// Reserves the memory. Call it before the first pass, on one thread. `readers` is the number of
  /// threads that will read at once. Returns false if there is not enough: then nothing is kept.
  bool make_room(size_t readers);
  /// Whether the next piece would probably be kept.
  bool has_room() const { return has_room_; }
  /// Returns the memory for the piece that begins at `offset`. Null if there is not enough by now,
  /// or if it is too dear. Only one thread asks for a piece.
  char* room_for(uint64_t offset);
  /// Says that the first `count` bytes of this memory are those of the source.
  void keep(uint64_t offset, size_t count);
  /// Says how many seconds it took one thread to read a piece.
  void took(double seconds);

 private:
  static Available default_available();
  bool is_allowed() const;
  // Returns how many bytes are kept from `offset` to the end of its piece.
  size_t kept_at(uint64_t offset) const;

  const ByteSource& source_;
  const uint64_t size_;
  const Available available_;
  base::AlignedBuffer memory_;
  std::vector<std::atomic<size_t>> kept_;  // The bytes of each piece.
  std::atomic<size_t> pieces_{0};          // For which room was asked.
  std::mutex mutex_;
  std::optional<KeepPrice> price_;  // Under the mutex.
  std::atomic<bool> has_room_{false};
};

}  // namespace checkpoint::store
