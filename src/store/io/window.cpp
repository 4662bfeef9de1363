#include "store/io/window.h"

#include "base/stopwatch.h"
#include "store/io/file.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <cstring>

namespace checkpoint::store {
namespace {

constexpr uint64_t kWindowBytes = KeptBytes::kPieceBytes;

}  // namespace

Window::Window(const ByteSource& source, const ByteSource& direct, KeptBytes* kept)
    : source_(source),
      direct_(direct),
      kept_(kept),
      aligned_size_(source.size() / kDirectAlignment * kDirectAlignment),
      own_memory_(base::aligned_buffer(kWindowBytes, base::Pages::kHuge)) {
  base::fetch_pages(own_memory_.get(), kWindowBytes);  // A new one may cost more than a read.
}

void Window::read_at(uint64_t offset, void* to, size_t count) const {
  char* place = static_cast<char*>(to);
  while (count > 0) {
    const std::string_view piece = view(offset, count);
    if (piece.empty()) return source_.read_at(offset, place, count);
    std::memcpy(place, piece.data(), piece.size());
    place += piece.size();
    offset += piece.size();
    count -= piece.size();
  }
}

std::string_view Window::view(uint64_t offset, size_t count) const {
  const size_t piece = std::min(count, have(offset));
  if (piece == 0) return {};
  return {memory_ + (offset - begin_), piece};
}

// Returns how many bytes from `offset` on are in the window, which is moved there if need be.
size_t Window::have(uint64_t offset) const {
  if (offset < begin_ || offset >= end_) fill(offset);
  return static_cast<size_t>(end_ - std::min(end_, offset));
}

// After it the window begins at or before `offset`. It is empty where nothing can be read past the
// cache: in the file's last bytes, and where the disk fails, which the plain read then says.
void Window::fill(uint64_t offset) const {
  begin_ = end_ = offset / kDirectAlignment * kDirectAlignment;
  const uint64_t until = std::min(aligned_size_, (offset / kWindowBytes + 1) * kWindowBytes);
  if (until <= begin_) return;
  const auto bytes = static_cast<size_t>(until - begin_);
  const std::string_view kept = source_.view(begin_, bytes);  // By an earlier pass.
  try {
    memory_ = kept.size() == bytes ? kept.data() : read(bytes);
    end_ = until;
  } catch (const Error&) {
  }
}

// Reads the bytes of the window. Returns where they are.
const char* Window::read(size_t bytes) const {
  const bool is_piece = begin_ % KeptBytes::kPieceBytes == 0;
  char* const room = keeps_ && is_piece ? kept_->room_for(begin_) : nullptr;
  char* const memory = room != nullptr ? room : own_memory_.get();
  base::Stopwatch watch;
  direct_.read_at(begin_, memory, bytes);
  if (kept_ != nullptr) kept_->took(watch.lap());
  if (room != nullptr) kept_->keep(begin_, bytes);
  return memory;
}

}  // namespace checkpoint::store
