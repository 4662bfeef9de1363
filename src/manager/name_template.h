#pragma once

#include <checkpoint/progress.h>

#include <string>
#include <vector>

namespace checkpoint::manager {

/// A checkpoint's name, made from its progress: "epoch{epoch:04d}-loss{loss:.3f}". In braces stands
/// epoch, step, loss or any metric, then optionally a colon and fmt's format specification; "{{"
/// and
/// "}}" are braces themselves. Thread-safe.
class NameTemplate {
 public:
  /// Throws Error(invalid_argument) if the text is not a template: an open brace, an empty field,
  /// a format specification that fmt does not know, bytes that are not UTF-8.
  explicit NameTemplate(const std::string& text);

  /// The name: a missing metric reads "none"; what cannot stand in a file name (slashes, blanks,
  /// control characters, bytes that are not UTF-8) becomes "_". A name that is reserved gets
  /// "checkpoint-" before it, and one that ends as what is set aside does (".corrupt")
  /// "-checkpoint" behind it: whatever comes out, a checkpoint may bear it. 222 bytes at most, so
  /// that suffixes and the prefixes of hidden names fit.
  std::string render(const Progress& progress) const;

 private:
  struct Part {
    bool is_field;
    std::string text;           // Literal text, or the field's name.
    std::string specification;  // What fmt is given: "{:04d}".
  };
  std::vector<Part> parts_;
};

}  // namespace checkpoint::manager
