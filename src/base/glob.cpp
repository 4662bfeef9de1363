// Globs like those of fnmatch(3), over the characters of UTF-8 texts. A pattern becomes a list of
// parts. Each part is one character, a class of characters, or a star for any number of them.
// `matches` goes through the parts and the text once, and back to the last star where they differ.
// `distance` counts how many edits would make a text match. Errors use it to name the nearest keys.

#include "base/glob.h"

#include <algorithm>
#include <numeric>
#include <string_view>
#include <utility>

namespace checkpoint::base {
namespace {

// Above all of Unicode, so that a byte outside UTF-8 differs from every character.
constexpr char32_t kNoCharacter = 0x110000;

// Returns how many bytes the character has whose first byte this is. Returns 1 for a byte that
// cannot come first.
size_t bytes_of_character(unsigned char first) {
  if (first >= 0xf0 && first < 0xf8) return 4;
  if (first >= 0xe0 && first < 0xf0) return 3;
  if (first >= 0xc0 && first < 0xe0) return 2;
  return 1;
}

// Returns the characters of a text. A byte outside UTF-8 becomes one that no text has.
std::u32string characters_of(const std::string& text) {
  std::u32string result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const auto first = static_cast<unsigned char>(text[i]);
    const size_t bytes = bytes_of_character(first);
    char32_t character = bytes == 1 ? first : first & (0x7f >> bytes);
    size_t used = 1;
    while (used < bytes && i + used < text.size() &&
           (static_cast<unsigned char>(text[i + used]) & 0xc0) == 0x80) {
      character = character << 6 | (static_cast<unsigned char>(text[i + used]) & 0x3f);
      ++used;
    }
    const bool is_whole = used == bytes && (bytes > 1 || first < 0x80);
    result += is_whole ? character : kNoCharacter + first;
    i += is_whole ? bytes : 1;
  }
  return result;
}

using Bounds = std::vector<std::pair<char32_t, char32_t>>;

// Returns the characters of POSIX's classes, as in the C locale. Empty for any other name.
Bounds bounds_of_kind(const std::u32string_view name) {
  static const std::pair<std::u32string_view, Bounds> kKinds[] = {
      {U"alnum", {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}},
      {U"alpha", {{'A', 'Z'}, {'a', 'z'}}},
      {U"blank", {{' ', ' '}, {'\t', '\t'}}},
      {U"cntrl", {{0, 31}, {127, 127}}},
      {U"digit", {{'0', '9'}}},
      {U"graph", {{33, 126}}},
      {U"lower", {{'a', 'z'}}},
      {U"print", {{32, 126}}},
      {U"punct", {{33, 47}, {58, 64}, {91, 96}, {123, 126}}},
      {U"space", {{' ', ' '}, {'\t', '\r'}}},
      {U"upper", {{'A', 'Z'}}},
      {U"xdigit", {{'0', '9'}, {'A', 'F'}, {'a', 'f'}}},
  };
  for (const auto& [known, bounds] : kKinds) {
    if (known == name) return bounds;
  }
  return {};
}

}  // namespace

bool Glob::Part::accepts(char32_t character) const {
  const bool is_one = std::any_of(ranges.begin(), ranges.end(), [&](const Range& range) {
    return range.first <= character && character <= range.last;
  });
  return is_one == (kind == Kind::kOneOf);
}

Glob::Glob(const std::string& pattern) {
  const std::u32string characters = characters_of(pattern);
  for (size_t i = 0; i < characters.size(); ++i) {
    const char32_t character = characters[i];
    if (character == '*') {
      parts_.push_back({Part::Kind::kStar, {}});
    } else if (character == '?') {
      parts_.push_back({Part::Kind::kNoneOf, {}});
    } else if (character == '\\' && i + 1 < characters.size()) {
      add(characters[++i]);
    } else if (const size_t end = character == '[' ? add_class(characters, i) : 0; end != 0) {
      i = end;
    } else {
      add(character);
    }
  }
}

Glob Glob::of_text(const std::string& text) {
  Glob glob;
  for (const char32_t character : characters_of(text)) glob.add(character);
  return glob;
}

Glob Glob::of_prefix(const std::string& text) {
  Glob glob = of_text(text);
  glob.parts_.push_back({Part::Kind::kStar, {}});
  return glob;
}

void Glob::add(char32_t character) {
  parts_.push_back({Part::Kind::kOneOf, {{character, character}}});
}

size_t Glob::add_class(const std::u32string& pattern, size_t begin) {
  Part part{Part::Kind::kOneOf, {}};
  size_t i = begin + 1;
  if (i < pattern.size() && (pattern[i] == '!' || pattern[i] == '^')) {
    part.kind = Part::Kind::kNoneOf;
    ++i;
  }
  // In a class too, a backslash takes the next character literally.
  const auto next = [&] {
    if (pattern[i] == '\\' && i + 1 < pattern.size()) ++i;
    return pattern[i++];
  };
  for (const size_t first = i; i < pattern.size();) {
    if (pattern[i] == ']' && i > first) {
      parts_.push_back(std::move(part));
      return i;
    }
    const size_t end =
        pattern.compare(i, 2, U"[:") == 0 ? pattern.find(U":]", i + 2) : pattern.npos;
    if (end != pattern.npos) {
      const std::u32string_view name(pattern.data() + i + 2, end - i - 2);
      for (const auto& [from, to] : bounds_of_kind(name)) part.ranges.push_back({from, to});
      i = end + 2;
      continue;
    }
    const char32_t from = next();
    const bool is_range = i + 1 < pattern.size() && pattern[i] == '-' && pattern[i + 1] != ']';
    if (is_range) ++i;
    part.ranges.push_back({from, is_range ? next() : from});
  }
  return 0;
}

bool Glob::matches(const std::string& text) const {
  // Goes back only to the last star: linear in practice, at most pattern times text.
  const std::u32string characters = characters_of(text);
  size_t p = 0, t = 0, star = std::string::npos, after_star = 0;
  while (t < characters.size()) {
    if (p < parts_.size() && parts_[p].kind == Part::Kind::kStar) {
      star = p++;
      after_star = t;
    } else if (p < parts_.size() && parts_[p].accepts(characters[t])) {
      ++p;
      ++t;
    } else if (star != std::string::npos) {
      p = star + 1;
      t = ++after_star;
    } else {
      return false;
    }
  }
  while (p < parts_.size() && parts_[p].kind == Part::Kind::kStar) ++p;
  return p == parts_.size();
}

size_t Glob::distance(const std::string& text) const {
  // The Levenshtein distance, but a star costs nothing.
  const std::u32string characters = characters_of(text);
  std::vector<size_t> row(characters.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (const Part& part : parts_) {
    const bool is_star = part.kind == Part::Kind::kStar;
    size_t diagonal = row[0];
    if (!is_star) ++row[0];
    for (size_t t = 1; t < row.size(); ++t) {
      const size_t above = row[t];
      row[t] = is_star ? std::min(above, row[t - 1])
                       : std::min({above + 1, row[t - 1] + 1,
                                   diagonal + (part.accepts(characters[t - 1]) ? 0 : 1)});
      diagonal = above;
    }
  }
  return row.back();
}

size_t Glob::length() const {
  return static_cast<size_t>(std::count_if(parts_.begin(), parts_.end(), [](const Part& part) {
    return part.kind != Part::Kind::kStar;
  }));
}

}  // namespace checkpoint::base
