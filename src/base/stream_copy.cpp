#include "base/stream_copy.h"

#include <cstdint>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace checkpoint::base {

#ifdef __SSE2__

namespace {

constexpr size_t kLine = 64;
constexpr size_t kFew = 4096;
// How far before its use a line is fetched. Between 512 and 2048 bytes it made no difference.
constexpr size_t kAhead = 1024;

// Copies 64 bytes past the caches.
void copy_line(char* to, const char* from) {
  const auto* source = reinterpret_cast<const __m128i*>(from);
  auto* target = reinterpret_cast<__m128i*>(to);
  const __m128i first = _mm_loadu_si128(source);
  const __m128i second = _mm_loadu_si128(source + 1);
  const __m128i third = _mm_loadu_si128(source + 2);
  const __m128i fourth = _mm_loadu_si128(source + 3);
  _mm_stream_si128(target, first);
  _mm_stream_si128(target + 1, second);
  _mm_stream_si128(target + 2, third);
  _mm_stream_si128(target + 3, fourth);
}

}  // namespace

void stream_copy(char* to, const char* from, size_t bytes) {
  if (bytes < kFew) {
    if (bytes > 0) std::memcpy(to, from, bytes);
    return;
  }
  // Streamed stores need an aligned target.
  size_t done = (kLine - reinterpret_cast<uintptr_t>(to) % kLine) % kLine;
  std::memcpy(to, from, done);
  for (; done + kLine <= bytes; done += kLine) {
    // An address behind the end, or of a page that is not there, does no harm.
    _mm_prefetch(from + done + kAhead, _MM_HINT_NTA);
    copy_line(to + done, from + done);
  }
  // Streamed stores are weakly ordered. Other threads see them after this.
  _mm_sfence();
  if (done < bytes) std::memcpy(to + done, from + done, bytes - done);
}

#else

void stream_copy(char* to, const char* from, size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}

#endif

}  // namespace checkpoint::base
