#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace checkpoint::base {

/// A pattern like those of fnmatch(3) and the shell. `*` matches any characters, `?` one, `[a-z]`
/// one of these, `[!a-z]` and `[^a-z]` any other, `[[:digit:]]` one of a class. A backslash takes
/// the next character literally. A bracket that is not closed is an ordinary character. Characters
/// are those of UTF-8; a dot is an ordinary one. Takes at most the pattern's length times the
/// text's.
class Glob {
 public:
  explicit Glob(const std::string& pattern);
  /// Returns a glob for all that begins with this text, whatever characters the text has.
  static Glob of_prefix(const std::string& text);
  /// Returns a glob for this text alone.
  static Glob of_text(const std::string& text);

  /// Returns whether the whole text matches.
  bool matches(const std::string& text) const;
  /// Returns how many characters of the text or the pattern must be added, removed or changed until
  /// the two match.
  size_t distance(const std::string& text) const;
  /// Returns how many characters the pattern has, without stars.
  size_t length() const;

 private:
  // The characters from `first` to `last`.
  struct Range {
    char32_t first;
    char32_t last;
  };
  // A star, or one character that is, or is not, in one of the ranges.
  struct Part {
    enum class Kind { kStar, kOneOf, kNoneOf };
    Kind kind;
    std::vector<Range> ranges;

    bool accepts(char32_t character) const;
  };

  Glob() = default;
  void add(char32_t character);
  // Reads the class that begins with a bracket. Returns where it ends, or 0 if it is not closed.
  size_t add_class(const std::u32string& pattern, size_t begin);

  std::vector<Part> parts_;
};

}  // namespace checkpoint::base
