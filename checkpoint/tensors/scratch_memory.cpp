#include "scratch_memory.h"

#include <c10/core/Allocator.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <list>
#include <memory>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace checkpoint::cli {
namespace {

constexpr size_t kLeastBytes = size_t{1} << 20;

// Large storages that lie in memory, all together.
std::atomic<size_t> in_memory{0};

struct InMemory {
  c10::DataPtr memory;
  size_t bytes;
};

void free_memory(void* context) {
  const std::unique_ptr<InMemory> block(static_cast<InMemory*>(context));
  in_memory -= block->bytes;
}

struct InFile {
  void* address;
  size_t bytes;
};

void unmap(void* context) {
  const std::unique_ptr<InFile> block(static_cast<InFile*>(context));
  ::munmap(block->address, block->bytes);
}

// Maps a new file that loses its name at once. Returns null if that fails. The disk's blocks are
// taken now: later, a full disk would kill the process.
void* map_new_file(const std::string& directory, size_t bytes) {
  std::string name = directory + "/.torch-checkpoint-scratch-XXXXXX";
  const int fd = ::mkostemp(name.data(), O_CLOEXEC);
  if (fd < 0) return nullptr;
  ::unlink(name.c_str());
  void* address = MAP_FAILED;
  if (::fallocate(fd, 0, 0, static_cast<off_t>(bytes)) == 0) {
    address = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  ::close(fd);
  return address == MAP_FAILED ? nullptr : address;
}

// LibTorch 2.3 made `allocate` non-const and added `copy_data`. Here are both forms, so none of
// them is marked as an override.
class ScratchAllocator final : public c10::Allocator {
 public:
  ScratchAllocator(std::string directory, size_t budget, c10::Allocator* memory)
      : directory_(std::move(directory)), budget_(budget), memory_(memory) {}

  c10::DataPtr allocate(size_t bytes) const {
    if (bytes < kLeastBytes) return memory_->allocate(bytes);
    if (in_memory.fetch_add(bytes) + bytes <= budget_) return in_ram(bytes);
    void* const address = map_new_file(directory_, bytes);
    if (address == nullptr) return in_ram(bytes);
    in_memory -= bytes;
    return {address, new InFile{address, bytes}, &unmap, c10::Device(c10::kCPU)};
  }
  c10::DataPtr allocate(size_t bytes) { return std::as_const(*this).allocate(bytes); }
  void copy_data(void* to, const void* from, size_t bytes) const { std::memcpy(to, from, bytes); }

  c10::Allocator* memory() const { return memory_; }

 private:
  // The bytes are counted already.
  c10::DataPtr in_ram(size_t bytes) const {
    std::unique_ptr<InMemory> block;
    try {
      block = std::make_unique<InMemory>(InMemory{memory_->allocate(bytes), bytes});
    } catch (...) {
      in_memory -= bytes;
      throw;
    }
    void* const address = block->memory.get();
    return {address, block.release(), &free_memory, c10::Device(c10::kCPU)};
  }

  const std::string directory_;
  const size_t budget_;
  c10::Allocator* const memory_;
};

// All that there ever were: a storage that outlives a ScratchMemory keeps a pointer to its own.
std::list<ScratchAllocator>& allocators() {
  static std::list<ScratchAllocator> all;
  return all;
}

}  // namespace

ScratchMemory::ScratchMemory(std::string directory, size_t budget) {
  allocators().emplace_back(std::move(directory), budget, c10::GetAllocator(c10::kCPU));
  c10::SetAllocator(c10::kCPU, &allocators().back());
}

ScratchMemory::~ScratchMemory() { c10::SetAllocator(c10::kCPU, allocators().back().memory()); }

}  // namespace checkpoint::cli
