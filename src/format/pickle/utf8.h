#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace checkpoint::format {

/// Whether Python would decode the text as UTF-8.
inline bool is_utf8(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  for (size_t i = 0; i < text.size();) {
    const unsigned first = byte(i);
    const size_t more = first < 0x80   ? 0
                        : first < 0xc2 ? 9
                        : first < 0xe0 ? 1
                        : first < 0xf0 ? 2
                        : first < 0xf5 ? 3
                                       : 9;
    if (more == 9 || more >= text.size() - i) return false;
    for (size_t k = 1; k <= more; ++k) {
      if ((byte(i + k) & 0xc0) != 0x80) return false;
    }
    const bool overlong =
        (first == 0xe0 && byte(i + 1) < 0xa0) || (first == 0xf0 && byte(i + 1) < 0x90);
    const bool surrogate = first == 0xed && byte(i + 1) > 0x9f;
    const bool too_high = first == 0xf4 && byte(i + 1) > 0x8f;
    if (overlong || surrogate || too_high) return false;
    i += more + 1;
  }
  return true;
}

/// Appends a character by its number; false if there is none of that number.
inline bool append_utf8(std::string& text, uint32_t character) {
  if (character > 0x10ffff || (character >= 0xd800 && character < 0xe000)) return false;
  const auto append = [&](uint32_t byte) { text += static_cast<char>(byte); };
  if (character < 0x80) {
    append(character);
    return true;
  }
  if (character < 0x800) {
    append(0xc0 | (character >> 6));
  } else {
    if (character < 0x10000) {
      append(0xe0 | (character >> 12));
    } else {
      append(0xf0 | (character >> 18));
      append(0x80 | ((character >> 12) & 0x3f));
    }
    append(0x80 | ((character >> 6) & 0x3f));
  }
  append(0x80 | (character & 0x3f));
  return true;
}

/// Appends the character whose number the byte is.
inline void append_latin1(std::string& text, char c) {
  const auto byte = static_cast<unsigned char>(c);
  if (byte < 0x80) {
    text += c;
    return;
  }
  text += static_cast<char>(0xc0 | (byte >> 6));
  text += static_cast<char>(0x80 | (byte & 0x3f));
}

}  // namespace checkpoint::format
