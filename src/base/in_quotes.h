#pragma once

#include <string>
#include <string_view>

namespace checkpoint::base {

/// Returns a name from a file in the form for an error: in quotes, shortened, and with its control
/// characters replaced. So a file cannot control the terminal on which the error appears.
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
