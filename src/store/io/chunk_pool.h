#pragma once

#include "store/io/chunk.h"

#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace checkpoint::store {

/// The chunks of one large file, kept for the next files: where a hypervisor hands out memory, new
/// memory takes as long as writing it to the disk. Thread-safe.
class ChunkPool {
 public:
  /// Returns an empty chunk in huge pages. Null if the pool is empty.
  std::unique_ptr<Chunk> take() {
    const std::lock_guard<std::mutex> hold(mutex_);
    if (chunks_.empty()) return nullptr;
    std::unique_ptr<Chunk> chunk = std::move(chunks_.back());
    chunks_.pop_back();
    return chunk;
  }
  /// Keeps a chunk, without its content. Frees it instead if there is not enough memory to note it.
  void put_back(std::unique_ptr<Chunk> chunk) noexcept {
    chunk->clear();
    const std::lock_guard<std::mutex> hold(mutex_);
    try {
      chunks_.push_back(std::move(chunk));
    } catch (const std::bad_alloc&) {  // FileSink's destructor calls this, and must not throw.
    }
  }
  /// Returns the memory to the system.
  void release() {
    const std::lock_guard<std::mutex> hold(mutex_);
    chunks_.clear();
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Chunk>> chunks_;
};

}  // namespace checkpoint::store
