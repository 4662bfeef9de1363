#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace checkpoint::format {

/// Puts bytes together: numbers, the lowest byte first, and text. Not thread-safe.
class LittleEndian {
 public:
  LittleEndian& u8(uint64_t value) { return number<1>(value); }
  LittleEndian& u16(uint64_t value) { return number<2>(value); }
  LittleEndian& u32(uint64_t value) { return number<4>(value); }
  LittleEndian& u64(uint64_t value) { return number<8>(value); }
  LittleEndian& text(std::string_view text) {
    bytes_ += text;
    return *this;
  }
  LittleEndian& fill(size_t count, char with) {
    bytes_.append(count, with);
    return *this;
  }
  size_t size() const { return bytes_.size(); }
  const std::string& bytes() const { return bytes_; }
  void clear() { bytes_.clear(); }

 private:
  template <size_t kWidth>
  LittleEndian& number(uint64_t value) {
    char bytes[kWidth];
    for (size_t i = 0; i < kWidth; ++i) bytes[i] = static_cast<char>(value >> (8 * i));
    bytes_.append(bytes, kWidth);
    return *this;
  }

  std::string bytes_;
};

}  // namespace checkpoint::format
