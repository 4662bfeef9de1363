#pragma once

#include "support/catch.h"
#include "support/temporary_directory.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

namespace guide {

/// Makes an empty folder the current one, for as long as it lives.
class EmptyFolder {
 public:
  EmptyFolder() : before_(std::filesystem::current_path()) {
    std::filesystem::current_path(folder_.path());
  }
  ~EmptyFolder() { std::filesystem::current_path(before_); }
  EmptyFolder(const EmptyFolder&) = delete;
  EmptyFolder& operator=(const EmptyFolder&) = delete;

 private:
  test::TemporaryDirectory folder_;
  std::filesystem::path before_;
};

/// The lines of a text, without the blanks that all of them begin with.
inline std::string dedented(const std::vector<std::string>& lines) {
  size_t common = std::string::npos;
  for (const std::string& line : lines) {
    if (!line.empty()) common = std::min(common, line.find_first_not_of(' '));
  }
  std::string text;
  for (const std::string& line : lines) text += (line.empty() ? line : line.substr(common)) + '\n';
  return text;
}

/// Returns the text between lines `from` and `to` (leading blanks do not count), block by block.
inline std::vector<std::string> blocks(const std::string& text, const std::string& from,
                                       const std::string& to) {
  std::vector<std::string> result, lines;
  bool inside = false;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    const size_t start = line.find_first_not_of(' ');
    const std::string bare = start == std::string::npos ? "" : line.substr(start);
    if (inside && bare == to) {
      result.push_back(dedented(lines));
      inside = false;
    } else if (inside) {
      lines.push_back(line);
    } else if (bare == from) {
      lines.clear();
      inside = true;
    }
  }
  return result;
}

inline std::string text_of_the_guide() { return test::read_file(TORCH_CHECKPOINT_GUIDE); }

inline std::vector<std::string> snippets_of_the_guide() {
  return blocks(text_of_the_guide(), "```cpp", "```");
}
inline std::vector<std::string> snippets_of(const std::string& source) {
  return blocks(test::read_file(source), "// [guide]", "// [guide]");
}

/// Whether a page of docs/ shows just the code of a test of this folder.
inline void check_page(const std::string& page, const std::string& test) {
  const std::string text = test::read_file(TORCH_CHECKPOINT_DOCS "/" + page);
  std::vector<std::string> shown = blocks(text, "```cpp", "```");
  std::vector<std::string> built = snippets_of(TORCH_CHECKPOINT_GUIDE_TESTS "/" + test);
  // Each in its own order: a page tells a story, a program declares first.
  std::sort(shown.begin(), shown.end());
  std::sort(built.begin(), built.end());
  REQUIRE(shown.size() == built.size());
  for (size_t i = 0; i < shown.size(); ++i) CHECK(shown[i] == built[i]);
}

/// A manager's paths are absolute. The guide's reader works in /home/me.
inline std::string in_home(std::string error) {
  const std::string here = std::filesystem::current_path().string();
  for (size_t at; (at = error.find(here)) != std::string::npos;) {
    error.replace(at, here.size(), "/home/me");
  }
  return error;
}

/// Whether the guide quotes the error of a failing call, letter for letter.
template <typename Call>
bool quotes(const Call& call) {
  std::string error;
  try {
    call();
  } catch (const checkpoint::Error& thrown) {
    error = in_home(thrown.what());
  }
  const std::vector<std::string> quoted = blocks(text_of_the_guide(), "```text", "```");
  const bool found = std::find(quoted.begin(), quoted.end(), error + '\n') != quoted.end();
  if (!found) WARN("the guide does not quote:\n" + error);
  return found;
}

}  // namespace guide
