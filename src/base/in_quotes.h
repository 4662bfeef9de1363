#pragma once

#include <string>
#include <string_view>

namespace checkpoint::base {

/// A name that comes out of a file, as an error may show it: in quotes, shortened, and with its
/// control characters replaced, so that no file writes to anybody's terminal.
inline std::string in_quotes(std::string_view name) {
  constexpr size_t kLongest = 200;
  std::string text = "'";
  for (const char c : name.substr(0, kLongest)) {
    const bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    text += control ? '?' : c;
  }
  if (name.size() > kLongest) text += "...";
  return text + "'";
}

}  // namespace checkpoint::base
