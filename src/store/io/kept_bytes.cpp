#include "store/io/kept_bytes.h"

#include "base/available_memory.h"
#include "base/parallel.h"
#include "base/stopwatch.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

namespace checkpoint::store {
namespace {

// After so many pieces the memory is looked at again: 64 MiB.
constexpr size_t kPiecesUnasked = 32;

}  // namespace

bool KeepPrice::is_worth_it() const {
  if (!fetch_.is_known() || !read_.is_known()) return true;
  // All together, for a piece. What is kept must be copied; what is read again must be as well.
  const double keep = fetch_.value() / static_cast<double>(fetchers_);
  const double read_again = read_.value() / static_cast<double>(readers_);
  return keep < read_again;
}

KeptBytes::KeptBytes(const ByteSource& source, Available available)
    : source_(source), size_(source.size()), available_(std::move(available)) {}

KeptBytes::Available KeptBytes::default_available() {
  return [] { return base::available_memory(); };
}

// What is kept already was available before. Of several processes that start together, each sees
// what the others have taken, so that the last ones stop in time.
bool KeptBytes::is_allowed() const { return size_ <= (available_() + pieces_ * kPieceBytes) / 4; }

bool KeptBytes::make_room(size_t readers) {
  const auto pieces = static_cast<size_t>((size_ + kPieceBytes - 1) / kPieceBytes);
  if (pieces == 0 || !is_allowed()) return false;
  try {
    memory_ = base::aligned_buffer(pieces * kPieceBytes, base::Pages::kHuge);
  } catch (const std::bad_alloc&) {  // A limit of the process's own (ulimit -v).
    return false;
  }
  kept_ = std::vector<std::atomic<size_t>>(pieces);
  price_.emplace(base::thread_count(), readers);
  has_room_ = true;
  return true;
}

char* KeptBytes::room_for(uint64_t offset) {
  if (!has_room_) return nullptr;
  if (pieces_++ % kPiecesUnasked == kPiecesUnasked - 1 && !is_allowed()) {
    has_room_ = false;
    return nullptr;
  }
  char* const room = memory_.get() + offset;
  base::Stopwatch watch;
  base::fetch_pages(room, kPieceBytes);
  const double seconds = watch.lap();
  const std::lock_guard<std::mutex> hold(mutex_);
  price_->fetched(seconds);
  if (!price_->is_worth_it()) has_room_ = false;
  return room;
}

void KeptBytes::keep(uint64_t offset, size_t count) {
  kept_[offset / kPieceBytes].store(count, std::memory_order_release);
}

void KeptBytes::took(double seconds) {
  const std::lock_guard<std::mutex> hold(mutex_);
  if (price_) price_->read(seconds);
}

size_t KeptBytes::kept_at(uint64_t offset) const {
  if (!memory_ || offset >= size_) return 0;
  const size_t kept = kept_[offset / kPieceBytes].load(std::memory_order_acquire);
  return kept - std::min<size_t>(kept, offset % kPieceBytes);
}

std::string_view KeptBytes::view(uint64_t offset, size_t count) const {
  const size_t piece = std::min(count, kept_at(offset));
  if (piece == 0) return {};
  return {memory_.get() + offset, piece};
}

void KeptBytes::read_at(uint64_t offset, void* to, size_t count) const {
  char* place = static_cast<char*>(to);
  while (count > 0) {
    const std::string_view kept = view(offset, count);
    size_t piece = kept.size();
    if (piece > 0) {
      std::memcpy(place, kept.data(), piece);
    } else {
      piece = std::min<size_t>(count, kPieceBytes - offset % kPieceBytes);
      source_.read_at(offset, place, piece);
    }
    place += piece;
    offset += piece;
    count -= piece;
  }
}

void KeptBytes::will_read(uint64_t offset, uint64_t count) const {
  if (kept_at(offset) == 0) source_.will_read(offset, count);
}

bool KeptBytes::is_cached(uint64_t offset) const {
  return kept_at(offset) > 0 || source_.is_cached(offset);
}

}  // namespace checkpoint::store
