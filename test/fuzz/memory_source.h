#pragma once

#include "store/byte_source.h"

#include <checkpoint/error.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

namespace test {

/// Bytes in memory, as if they were a file.
class MemorySource final : public checkpoint::store::ByteSource {
 public:
  MemorySource(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  const std::string& name() const override { return name_; }
  uint64_t size() const override { return size_; }
  void read_at(uint64_t offset, void* to, size_t count) const override {
    if (offset > size_ || count > size_ - offset) {
      throw checkpoint::Error(checkpoint::ErrorCode::kCorrupt, "read past the end", name_);
    }
    if (count > 0) std::memcpy(to, data_ + offset, count);
  }

 private:
  const uint8_t* data_;
  size_t size_;
  std::string name_ = "memory";
};

}  // namespace test
