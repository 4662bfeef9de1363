#pragma once

#include <string_view>

namespace checkpoint::base {

// The same as in the std::string_view of C++20.

inline bool begins_with(std::string_view text, std::string_view begin) {
  return text.substr(0, begin.size()) == begin;
}

inline bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

}  // namespace checkpoint::base
