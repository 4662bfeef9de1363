#pragma once

#include "store/io/chunk.h"

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace checkpoint::store {

/// The chunks of one large file, kept for the next one: where a hypervisor hands out memory, new
/// memory takes as long as writing it to the disk. Thread-safe.
class ChunkPool {
 public:
  /// Returns an empty chunk in huge pages. Null if there is none.
  std::unique_ptr<Chunk> take() {
    const std::lock_guard<std::mutex> hold(mutex_);
    if (chunks_.empty()) return nullptr;
    std::unique_ptr<Chunk> chunk = std::move(chunks_.back());
    chunks_.pop_back();
    return chunk;
  }
  /// Keeps a chunk, without its content.
  void put_back(std::unique_ptr<Chunk> chunk) {
    chunk->clear();
    const std::lock_guard<std::mutex> hold(mutex_);
    chunks_.push_back(std::move(chunk));
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
