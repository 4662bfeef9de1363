#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace checkpoint::base {

/// Appends the lowest `width` bytes of a number, at most 8, the lowest first.
inline void append_little_endian(std::string& bytes, uint64_t value, size_t width) {
  char little[sizeof(value)];
  for (size_t i = 0; i < sizeof(value); ++i) little[i] = static_cast<char>(value >> (8 * i));
  bytes.append(little, width);
}

/// Returns the number that these bytes hold, at most 8, the lowest first.
inline uint64_t read_little_endian(const void* bytes, size_t width) {
  const auto* const little = static_cast<const unsigned char*>(bytes);
  uint64_t value = 0;
  for (size_t i = 0; i < width; ++i) value |= uint64_t{little[i]} << (8 * i);
  return value;
}

/// Builds a string of bytes from texts and numbers, the lowest byte first. Not thread-safe.
class LittleEndian {
 public:
  LittleEndian& u16(uint64_t value) { return number(value, 2); }
  LittleEndian& u32(uint64_t value) { return number(value, 4); }
  LittleEndian& u64(uint64_t value) { return number(value, 8); }
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
  LittleEndian& number(uint64_t value, size_t width) {
    append_little_endian(bytes_, value, width);
    return *this;
  }

  std::string bytes_;
};

}  // namespace checkpoint::base
