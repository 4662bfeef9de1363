#pragma once

#include <cstddef>
#include <cstdint>
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

/// Makes the system provide the pages of new memory now. `bytes` is a multiple of 4096.
inline void fetch_pages(char* memory, size_t bytes) noexcept {
  constexpr size_t kSmallPageBytes = 4096;
  for (size_t i = 0; i < bytes; i += kSmallPageBytes) memory[i] = 0;
}

/// Maps new memory that begins at a multiple of kHugePageBytes, as `bytes` is one. `protection` and
/// `flags` are those of mmap; it is private and anonymous. Returns null if the system refuses it.
inline char* map_aligned(size_t bytes, int protection, int flags = 0) noexcept {
  void* const mapped = ::mmap(nullptr, bytes + kHugePageBytes, protection,
                              MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  auto* const memory = static_cast<char*>(mapped);
  const size_t lost =
      (kHugePageBytes - reinterpret_cast<uintptr_t>(memory) % kHugePageBytes) % kHugePageBytes;
  if (lost > 0) ::munmap(memory, lost);
  ::munmap(memory + lost + bytes, kHugePageBytes - lost);
  return memory + lost;
}

/// Gives memory back to the system.
struct UnmapMemory {
  size_t bytes = 0;
  void operator()(char* memory) const { ::munmap(memory, bytes); }
};
/// Memory that begins at a multiple of kHugePageBytes.
using AlignedBuffer = std::unique_ptr<char, UnmapMemory>;

/// Which pages a buffer should have.
enum class Pages {
  kSmall,  ///< If only a little of the memory may be used.
  kHuge,   ///< If the system has some.
};

/// Returns memory for direct I/O, all zeros. `bytes` is a multiple of kHugePageBytes. It comes from
/// the system and not from the heap, whose recycled memory lies in small pages: from these the disk
/// is up to three times as slow. Throws std::bad_alloc.
inline AlignedBuffer aligned_buffer(size_t bytes, Pages pages) {
  AlignedBuffer buffer(map_aligned(bytes, PROT_READ | PROT_WRITE), UnmapMemory{bytes});
  if (!buffer) throw std::bad_alloc();
  if (pages == Pages::kHuge) ask_for_huge_pages(buffer.get(), bytes);
  return buffer;
}

}  // namespace checkpoint::base
