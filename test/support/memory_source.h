#pragma once

#include "store/io/byte_source.h"

#include <checkpoint/error.h>

#include <cstring>
#include <string>
#include <utility>

namespace checkpoint {

/// Bytes in memory, as if they were a file called "memory.pt".
class MemorySource final : public store::ByteSource {
 public:
  explicit MemorySource(std::string bytes) : bytes_(std::move(bytes)) {}
  /// That many bytes, which repeat nowhere near.
  static MemorySource of_size(size_t size) {
    std::string bytes(size, '\0');
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>((i * 2654435761u) >> 11);
    return MemorySource(std::move(bytes));
  }

  const std::string& name() const override { return name_; }
  uint64_t size() const override { return bytes_.size(); }
  void read_at(uint64_t offset, void* to, size_t count) const override {
    if (offset > bytes_.size() || count > bytes_.size() - offset) {
      throw Error(ErrorCode::kCorrupt, "read past the end", name_);
    }
    std::memcpy(to, bytes_.data() + offset, count);
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
  std::string name_ = "memory.pt";
};

}  // namespace checkpoint
