#pragma once

#include <cstdint>
#include <string>

namespace checkpoint::format {

/// Appends a character by its number. Returns false if the number is not valid.
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

/// Appends the character with the number of the byte.
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
