#include "state/snapshot/arena.h"

#include "base/aligned_buffer.h"
#include "base/parallel.h"
#include "base/threads.h"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <new>
#include <utility>

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14; the headers of older systems lack it.
#endif

namespace checkpoint::state {
namespace {

using base::kHugePageBytes;

// If both need a core, a thread gets half as much time as training. The pages should be there at
// the first save.
constexpr int kPrefaultNice = 3;

size_t round_up(size_t bytes) {
  return (bytes + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
}

size_t physical_memory() {
  const long pages = ::sysconf(_SC_PHYS_PAGES);
  const long page = ::sysconf(_SC_PAGESIZE);
  return pages > 0 && page > 0 ? static_cast<size_t>(pages) * static_cast<size_t>(page) : 0;
}

}  // namespace

Arena::~Arena() { release(); }

void Arena::prefault(size_t bytes) noexcept {
  try {
    stop_prefaulting();
    grow(bytes);
    const size_t pages = round_up(bytes) / kHugePageBytes;
    next_page_ = 0;
    prefaulting_.reserve(base::thread_count());
    while (prefaulting_.size() < std::min(base::thread_count(), pages)) {
      prefaulting_.push_back(base::start_thread([this, pages] { fetch_pages(pages); }));
    }
  } catch (const std::exception&) {
    // Not enough memory: `reserve` will report that. Too few threads: the others fetch more each.
  }
}

void Arena::fetch_pages(size_t pages) {
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), kPrefaultNice);
  while (!stopping_) {
    const size_t page = next_page_++;
    if (page >= pages) return;
    // Keeps the page's content. Older kernels return EINVAL; the pages then come when they are
    // first used.
    char* const address = base_ + page * kHugePageBytes;
    if (::madvise(address, kHugePageBytes, MADV_POPULATE_WRITE) != 0) return;
  }
}

char* Arena::reserve(size_t bytes) {
  stop_prefaulting();
  grow(bytes);
  return base_;
}

void Arena::release() noexcept {
  stop_prefaulting();
  if (base_ != nullptr) ::munmap(base_, reserved_);
  base_ = nullptr;
  reserved_ = usable_ = 0;
}

void Arena::forget_threads() noexcept {
  // This process does not have the threads, so it can neither join nor detach them.
  static_cast<void>(new std::vector<std::thread>(std::move(prefaulting_)));
  prefaulting_.clear();
}

void Arena::grow(size_t bytes) {
  bytes = round_up(bytes);
  if (bytes <= usable_) return;
  if (bytes > reserved_) map(bytes);
  if (::mprotect(base_, bytes, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
  ::madvise(base_, bytes, MADV_HUGEPAGE);  // May fail: only a hint.
  usable_ = bytes;
}

// Reserves as much address space as the machine has memory, so that the arena never has to move. If
// that is refused (ulimit -v), reserves only `bytes`.
void Arena::map(size_t bytes) {
  release();
  for (const size_t wanted : {std::max(bytes, round_up(physical_memory())), bytes}) {
    // Address space only: the pages cannot be accessed, and do not count as memory in use.
    base_ = base::map_aligned(wanted, PROT_NONE, MAP_NORESERVE);
    if (base_ == nullptr) continue;
    reserved_ = wanted;
    return;
  }
  throw std::bad_alloc();
}

void Arena::stop_prefaulting() noexcept {
  stopping_ = true;
  for (std::thread& thread : prefaulting_) thread.join();
  prefaulting_.clear();
  stopping_ = false;
}

}  // namespace checkpoint::state
