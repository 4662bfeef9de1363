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

/// Asks the system to use huge pages for this memory, where whole ones fit into it. Call it before
/// the memory is first used. The system then has 512 times fewer pages to provide. Only a hint.
inline void ask_for_huge_pages(void* memory, size_t bytes) noexcept {
  const auto begin = reinterpret_cast<uintptr_t>(memory);
  const uintptr_t first = (begin + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
  const uintptr_t last = (begin + bytes) / kHugePageBytes * kHugePageBytes;
  if (last > first) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
}

/// Frees memory of std::aligned_alloc.
struct FreeMemory {
  void operator()(char* memory) const { std::free(memory); }
};
/// Memory that begins at a multiple of kHugePageBytes.
using AlignedBuffer = std::unique_ptr<char, FreeMemory>;

/// Which pages a buffer should have.
enum class Pages {
  kSmall,  ///< If only a little of the memory may be used.
  kHuge,   ///< If the system has some.
};

/// Returns memory for direct I/O. `bytes` is a multiple of kHugePageBytes. Throws std::bad_alloc.
inline AlignedBuffer aligned_buffer(size_t bytes, Pages pages) {
  AlignedBuffer buffer(static_cast<char*>(std::aligned_alloc(kHugePageBytes, bytes)));
  if (!buffer) throw std::bad_alloc();
  if (pages == Pages::kHuge) ask_for_huge_pages(buffer.get(), bytes);
  return buffer;
}

}  // namespace checkpoint::base
