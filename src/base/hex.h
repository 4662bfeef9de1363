#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace checkpoint::base {

/// Writes bytes as lower-case hexadecimal digits, two for each.
inline void put_hex(std::string_view bytes, char* to) {
  constexpr char kDigits[] = "0123456789abcdef";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    *to++ = kDigits[byte >> 4];
    *to++ = kDigits[byte & 15];
  }
}

/// Returns bytes as lower-case hexadecimal digits.
inline std::string to_hex(std::string_view bytes) {
  std::string text(2 * bytes.size(), '\0');
  put_hex(bytes, text.data());
  return text;
}

/// Returns the bytes of such digits. Empty if the text is not of that form.
inline std::optional<std::string> from_hex(const std::string& text) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  if (text.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  for (size_t i = 0; i < text.size(); i += 2) {
    const int high = digit(text[i]);
    const int low = digit(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes += static_cast<char>((high << 4) | low);
  }
  return bytes;
}

}  // namespace checkpoint::base
