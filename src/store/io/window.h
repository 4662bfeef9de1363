#pragma once

#include "base/aligned_buffer.h"
#include "store/io/byte_source.h"
#include "store/io/kept_bytes.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace checkpoint::store {

/// One thread's view of a source past the page cache. It reads a window, which the disk needs for
/// its full speed, and hands it out from there. Best if reads go forward. Not thread-safe.
class Window final : public ByteSource {
 public:
  /// All must outlive this. `direct` takes aligned reads only. `kept` may be null. Throws
  /// std::bad_alloc.
  Window(const ByteSource& source, const ByteSource& direct, KeptBytes* kept);

  const std::string& name() const override { return source_.name(); }
  uint64_t size() const override { return source_.size(); }
  void read_at(uint64_t offset, void* to, size_t count) const override;
  std::string_view view(uint64_t offset, size_t count) const override;

  /// From now on `kept` keeps what is read. Before, it only learns how long reading takes.
  void start_keeping() { keeps_ = kept_ != nullptr; }

 private:
  size_t have(uint64_t offset) const;
  void fill(uint64_t offset) const;
  const char* read(size_t bytes) const;

  const ByteSource& source_;
  const ByteSource& direct_;
  KeptBytes* const kept_;
  const uint64_t aligned_size_;
  const base::AlignedBuffer own_memory_;
  bool keeps_ = false;
  mutable const char* memory_ = nullptr;  // Of the window: its own, or what is kept.
  mutable uint64_t begin_ = 0;
  mutable uint64_t end_ = 0;
};

}  // namespace checkpoint::store
