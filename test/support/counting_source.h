#pragma once

#include "store/io/byte_source.h"

#include <atomic>
#include <string>

namespace checkpoint {

/// Counts what is read from another source, which must outlive it. Thread-safe.
class CountingSource final : public store::ByteSource {
 public:
  explicit CountingSource(const store::ByteSource& source) : source_(source) {}
  const std::string& name() const override { return source_.name(); }
  uint64_t size() const override { return source_.size(); }
  void read_at(uint64_t offset, void* to, size_t count) const override {
    ++reads;
    bytes += count;
    source_.read_at(offset, to, count);
  }

  mutable std::atomic<size_t> reads{0};
  mutable std::atomic<uint64_t> bytes{0};

 private:
  const store::ByteSource& source_;
};

}  // namespace checkpoint
