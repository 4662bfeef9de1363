#include "base/digest.h"

#include "base/hex.h"

#ifdef TORCH_CHECKPOINT_XXHASH_DISPATCH
#include <xxh_x86dispatch.h>  // The same functions, with the best instructions of this processor.
#else
#include <xxhash.h>
#endif

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

namespace checkpoint::base {
namespace {

using Canonical = XXH128_canonical_t;

static_assert(sizeof(Canonical) == kDigestBytes);

std::string_view bytes_of(const Canonical& digest) {
  return {reinterpret_cast<const char*>(digest.digest), kDigestBytes};
}

}  // namespace

// Owns the state of xxHash.
struct StreamDigest::State {
  XXH3_state_t* xxh = XXH3_createState();  // With the alignment that xxHash needs.
  State() {
    if (xxh == nullptr) throw std::bad_alloc();
  }
  ~State() { XXH3_freeState(xxh); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

Digest Digest::of(const void* data, size_t count) {
  Canonical canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(data, count));
  return from_canonical(bytes_of(canonical));
}

std::optional<Digest> Digest::from(std::string_view text) {
  if (!text.empty() && text.size() != kDigits) return std::nullopt;
  Digest digest;
  digest.is_known_ = !text.empty();
  std::copy(text.begin(), text.end(), digest.digits_.begin());
  return digest;
}

Digest Digest::from_canonical(std::string_view bytes) {
  Digest digest;
  digest.is_known_ = true;
  put_hex(bytes, digest.digits_.data());
  return digest;
}

std::string xxh3_128(const void* data, size_t count) {
  return std::string(Digest::of(data, count).text());
}

StreamDigest::StreamDigest() : state_(std::make_unique<State>()) { reset(); }
StreamDigest::StreamDigest(StreamDigest&&) noexcept = default;
StreamDigest& StreamDigest::operator=(StreamDigest&&) noexcept = default;
StreamDigest::~StreamDigest() = default;

void StreamDigest::add(const void* data, size_t count) {
  XXH3_128bits_update(state_->xxh, data, count);
}

Digest StreamDigest::finish() const {
  char canonical[kDigestBytes];
  finish_into(canonical);
  return Digest::from_canonical({canonical, kDigestBytes});
}

void StreamDigest::reset() { XXH3_128bits_reset(state_->xxh); }

void StreamDigest::finish_into(char* bytes) const {
  Canonical digest;
  XXH128_canonicalFromHash(&digest, XXH3_128bits_digest(state_->xxh));
  std::memcpy(bytes, digest.digest, kDigestBytes);
}

void FileDigest::add(const void* data, size_t count) {
  const char* cursor = static_cast<const char*>(data);
  while (count > 0) {
    const size_t piece = std::min(count, kChunkBytes - in_chunk_);
    chunk_.add(cursor, piece);
    in_chunk_ += piece;
    cursor += piece;
    count -= piece;
    if (in_chunk_ == kChunkBytes) end_chunk();
  }
}

void FileDigest::end_chunk() {
  char digest[kDigestBytes];
  chunk_.finish_into(digest);
  chunk_digests_.append(digest, kDigestBytes);
  chunk_.reset();
  in_chunk_ = 0;
}

std::string FileDigest::finish() {
  if (in_chunk_ > 0) end_chunk();
  return xxh3_128(chunk_digests_.data(), chunk_digests_.size());
}

}  // namespace checkpoint::base
