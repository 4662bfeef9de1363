#pragma once

#include <cstdint>
#include <string>

namespace checkpoint::base {

/// Returns a shape as text: "[3, 32]". `Shape` is a range of int64_t.
template <typename Shape>
std::string shape_text(const Shape& shape) {
  std::string text;
  for (const int64_t size : shape) text += (text.empty() ? "" : ", ") + std::to_string(size);
  return '[' + text + ']';
}

}  // namespace checkpoint::base
