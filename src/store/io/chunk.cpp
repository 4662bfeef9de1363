#include "store/io/chunk.h"

#include "base/crc32.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace checkpoint::store {

void Chunk::add(const char* data, size_t count) {
  std::memcpy(buffer_.get() + size_, data, count);
  size_ += count;
}

void Chunk::add_lasting(const char* data, size_t count, Sums* sums, bool first, bool last) {
  Piece piece{size_, count};
  piece.data = data;
  piece.sums = sums;
  piece.first = first;
  piece.last = last;
  pieces_.push_back(std::move(piece));
  size_ += count;
}

void Chunk::add_late(std::shared_ptr<Late> late, size_t from, size_t count) {
  Piece piece{size_, count};
  piece.late = std::move(late);
  piece.from = from;
  pieces_.push_back(std::move(piece));
  size_ += count;
}

void Chunk::gather() {
  for (Piece& piece : pieces_) {
    if (piece.data != nullptr) gather(piece);
  }
}

// Each block is summed while it is in the core's own cache.
void Chunk::gather(Piece& piece) {
  if (piece.first && piece.last && piece.count <= base::kBlockBytes) {
    char* const to = buffer_.get() + piece.at;
    std::memcpy(to, piece.data, piece.count);
    if (piece.sums == nullptr) return;
    *piece.sums = {base::crc32(0, to, piece.count), base::Digest::of(to, piece.count)};
    return;
  }
  const bool digests = piece.sums != nullptr && piece.first;
  if (digests) digest_.reset();
  for (size_t done = 0; done < piece.count;) {
    const size_t count = std::min(base::kBlockBytes, piece.count - done);
    char* const to = buffer_.get() + piece.at + done;
    std::memcpy(to, piece.data + done, count);
    if (piece.sums != nullptr) piece.crc32 = base::crc32(piece.crc32, to, count);
    if (digests) digest_.add(to, count);
    done += count;
  }
  if (digests && piece.last) *piece.sums = {piece.crc32, digest_.finish()};
}

void Chunk::settle(OpenSums& open) {
  for (const Piece& piece : pieces_) settle(piece, open);
  pieces_.clear();
}

void Chunk::settle(const Piece& piece, OpenSums& open) {
  if (piece.late) {
    Late& late = *piece.late;
    if (piece.from == 0) {
      late.bytes.resize(late.count);
      late.fill(late.bytes.data());
    }
    std::memcpy(buffer_.get() + piece.at, late.bytes.data() + piece.from, piece.count);
    return;
  }
  if (piece.sums == nullptr || (piece.first && piece.last)) return;
  if (piece.first) {
    std::swap(open.digest, digest_);
    open.crc32 = piece.crc32;
    return;
  }
  open.digest.add(data() + piece.at, piece.count);
  open.crc32 = base::combine_crc32(open.crc32, piece.crc32, piece.count);
  if (piece.last) *piece.sums = {open.crc32, open.digest.finish()};
}

void Chunk::clear() {
  size_ = 0;
  pieces_.clear();
}

}  // namespace checkpoint::store
