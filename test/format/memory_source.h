#pragma once

#include "store/byte_source.h"

#include <checkpoint/error.h>

#include <cstring>
#include <string>
#include <utility>

namespace checkpoint::format {

/// Bytes in memory, as if they were a file called "memory.pt".
class MemorySource final : public store::ByteSource {
 public:
  explicit MemorySource(std::string bytes) : bytes_(std::move(bytes)) {}

  const std::string& name() const override { return name_; }
  uint64_t size() const override { return bytes_.size(); }
  void read_at(uint64_t offset, void* to, size_t count) const override {
    if (offset > bytes_.size() || count > bytes_.size() - offset) {
      throw Error(ErrorCode::kCorrupt, "read past the end", name_);
    }
    std::memcpy(to, bytes_.data() + offset, count);
  }

 private:
  std::string bytes_;
  std::string name_ = "memory.pt";
};

}  // namespace checkpoint::format
