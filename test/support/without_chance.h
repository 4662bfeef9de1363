#pragma once

#include <string>

namespace test {

/// Without what chance and the clock have put there: an id or a digest, 16 hexadecimal digits or
/// more, becomes the number of its first place in the text; a time and a duration become a word.
std::string without_chance(const std::string& text);

}  // namespace test
