#pragma once

#include "store/io/byte_source.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace checkpoint::store {

/// A part of a source, as a source of its own. Thread-safe, as far as the whole is.
class Slice final : public ByteSource {
 public:
  /// `whole` must outlive this, and have `bytes` bytes from `offset` on.
  Slice(const ByteSource& whole, uint64_t offset, uint64_t bytes)
      : whole_(whole), offset_(offset), bytes_(bytes) {}

  const std::string& name() const override { return whole_.name(); }
  uint64_t size() const override { return bytes_; }
  void read_at(uint64_t offset, void* to, size_t count) const override {
    if (offset > bytes_ || count > bytes_ - offset) {
      throw_corrupt("a part of the file ends before what it should hold", *this);
    }
    whole_.read_at(offset_ + offset, to, count);
  }
  void will_read(uint64_t offset, uint64_t count) const override {
    whole_.will_read(offset_ + offset, count);
  }

 private:
  const ByteSource& whole_;
  const uint64_t offset_;
  const uint64_t bytes_;
};

}  // namespace checkpoint::store
