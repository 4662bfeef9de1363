#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace checkpoint::base {

/// A pattern as fnmatch(3) and the shell know it: `*` stands for any characters, `?` for one,
/// `[a-z]` for one of these, `[!a-z]` and `[^a-z]` for any other, `[[:digit:]]` for one of a kind,
/// and a backslash takes the next character as it is. A bracket that is not closed stands for
/// itself. Characters are those of UTF-8; a dot is one like any other. In time at most the
/// pattern's length times the text's.
class Glob {
 public:
  explicit Glob(const std::string& pattern);
  /// What begins with this text, whatever characters are in it.
  static Glob of_prefix(const std::string& text);
  /// This text and no other.
  static Glob of_text(const std::string& text);

  bool matches(const std::string& text) const;
  /// How many characters of the text or of the pattern must be put in, taken out or changed until
  /// they match.
  size_t distance(const std::string& text) const;
  /// How many characters it has, stars not counted.
  size_t length() const;

 private:
  struct Range {
    char32_t first;
    char32_t last;
  };
  struct Part {
    enum class Kind { kStar, kOneOf, kNoneOf };
    Kind kind;
    std::vector<Range> ranges;

    bool accepts(char32_t character) const;
  };

  Glob() = default;
  void add(char32_t character);
  // Reads what begins with a bracket; returns where it ends, or 0 if it is not closed.
  size_t add_class(const std::u32string& pattern, size_t begin);

  std::vector<Part> parts_;
};

}  // namespace checkpoint::base
