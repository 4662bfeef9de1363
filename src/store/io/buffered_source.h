#pragma once

#include "store/io/byte_source.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace checkpoint::store {

/// A source that reads 16 KiB at once and serves small pieces from that buffer. For readers that go
/// through a file roughly from front to back, such as the headers of an archive with many small
/// records. Not thread-safe, unlike other sources.
class BufferedSource final : public ByteSource {
 public:
  /// `source` must outlive this.
  explicit BufferedSource(const ByteSource& source) : source_(source), size_(source.size()) {}

  const std::string& name() const override { return source_.name(); }
  uint64_t size() const override { return size_; }
  void read_at(uint64_t offset, void* to, size_t count) const override {
    if (!holds(offset, count)) {
      const bool is_small = count < kBytes && offset < size_ && count <= size_ - offset;
      if (!is_small) return source_.read_at(offset, to, count);
      buffer_.resize(std::min<uint64_t>(kBytes, size_ - offset));
      begin_ = offset;
      source_.read_at(begin_, buffer_.data(), buffer_.size());
    }
    std::memcpy(to, buffer_.data() + (offset - begin_), count);
  }
  void will_read(uint64_t offset, uint64_t count) const override {
    source_.will_read(offset, count);
  }

 private:
  static constexpr size_t kBytes = size_t{16} << 10;

  bool holds(uint64_t offset, size_t count) const {
    return offset >= begin_ && count <= buffer_.size() && offset - begin_ <= buffer_.size() - count;
  }

  const ByteSource& source_;
  const uint64_t size_;
  mutable std::string buffer_;
  mutable uint64_t begin_ = 0;
};

}  // namespace checkpoint::store
