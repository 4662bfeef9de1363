#pragma once

#include <checkpoint/progress.h>

#include <string>
#include <vector>

namespace checkpoint::manager {

/// A checkpoint's name, made from its progress: "epoch{epoch:04d}-loss{loss:.3f}". Braces hold
/// epoch, step, loss or any metric, then optionally a colon and fmt's format specification. "{{"
/// and "}}" give single braces. Thread-safe.
class NameTemplate {
 public:
  /// Throws Error(invalid_argument) for an unmatched brace, an empty text or field, a format
  /// specification that fmt does not know, or bytes that are not UTF-8.
  explicit NameTemplate(const std::string& text);

  /// Returns a name that a checkpoint can have. A missing metric reads "none". Slashes, blanks,
  /// control characters and bytes that are not UTF-8 become "_". A reserved name gets "checkpoint-"
  /// before it. A name that ends like one that was set aside (".corrupt") gets "-checkpoint" behind
  /// it. The result has at most 222 bytes, so that suffixes and the prefixes of hidden names fit.
  std::string render(const Progress& progress) const;

 private:
  struct Part {
    bool is_field;
    std::string text;           // Literal text, or the field's name.
    std::string specification;  // For fmt: "{:04d}".
  };
  std::vector<Part> parts_;
};

}  // namespace checkpoint::manager
