#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#include <sys/mman.h>

namespace checkpoint::base {

/// The size of a huge page, as x86-64 and AArch64 have them.
constexpr size_t kHugePageBytes = size_t{2} << 20;

/// Asks for huge pages for what of `bytes` bytes at `memory` they can hold, before it is first
/// touched: the system then has 512 times fewer to fetch. A hint.
inline void ask_for_huge_pages(void* memory, size_t bytes) noexcept {
  const auto begin = reinterpret_cast<uintptr_t>(memory);
  const uintptr_t first = (begin + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
  const uintptr_t last = (begin + bytes) / kHugePageBytes * kHugePageBytes;
  if (last > first) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
}

struct FreeMemory {
  void operator()(char* memory) const { std::free(memory); }
};
using AlignedBuffer = std::unique_ptr<char, FreeMemory>;

enum class Pages {
  kSmall,  ///< For memory of which little may be touched.
  kHuge,   ///< Where the system has some to give.
};

/// Memory for direct I/O. `bytes` is a multiple of kHugePageBytes. Throws std::bad_alloc.
inline AlignedBuffer aligned_buffer(size_t bytes, Pages pages) {
  AlignedBuffer buffer(static_cast<char*>(std::aligned_alloc(kHugePageBytes, bytes)));
  if (!buffer) throw std::bad_alloc();
  if (pages == Pages::kHuge) ask_for_huge_pages(buffer.get(), bytes);
  return buffer;
}

}  // namespace checkpoint::base
