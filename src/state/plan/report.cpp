#include <checkpoint/restore.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

namespace checkpoint {
namespace {

// Looking for near names costs missing times unexpected: a person reads no more than this anyway.
constexpr size_t kMostSuggestions = 50;
constexpr size_t kMostCandidates = 2000;

// Levenshtein's distance: how many characters must be put in, taken out or changed.
size_t distance(const std::string& left, const std::string& right) {
  std::vector<size_t> row(right.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= left.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= right.size(); ++j) {
      const size_t change = diagonal + (left[i - 1] == right[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, change});
    }
  }
  return row.back();
}

// The last parts of two dotted names that are the same: "encoder.0.weight" and
// "module.encoder.0.weight" share three.
size_t shared_tail_parts(const std::string& left, const std::string& right) {
  size_t parts = 0, i = left.size(), j = right.size();
  while (i > 0 && j > 0 && left[i - 1] == right[j - 1]) {
    --i;
    --j;
    if (left[i] == '.') ++parts;
  }
  return i == 0 || j == 0 ? parts + 1 : parts;
}

// The name of the file that was most likely meant; empty if none is near.
std::string nearest(const std::string& missing, const std::vector<std::string>& unexpected) {
  const std::string* best = nullptr;
  size_t best_distance = std::max<size_t>(2, missing.size() / 4) + 1;
  const size_t candidates = std::min(unexpected.size(), kMostCandidates);
  for (size_t i = 0; i < candidates; ++i) {
    // A prefix more or less ("module.") is no distance at all.
    const bool same_tail = shared_tail_parts(missing, unexpected[i]) >= 2;
    const size_t away = same_tail ? 1 : distance(missing, unexpected[i]);
    if (away >= best_distance) continue;
    best = &unexpected[i];
    best_distance = away;
  }
  return best != nullptr ? *best : "";
}

void add(std::string& text, const char* title, const std::vector<std::string>& lines) {
  if (lines.empty()) return;
  if (!text.empty()) text += '\n';
  text += std::string("  ") + title + ':';
  for (const std::string& line : lines) text += "\n    " + line;
}

}  // namespace

std::string RestoreReport::to_string() const {
  std::vector<std::string> missing_lines = missing;
  for (size_t i = 0; i < std::min(missing.size(), kMostSuggestions); ++i) {
    const std::string near = nearest(missing[i], unexpected);
    if (!near.empty()) missing_lines[i] += "   (the file has " + near + ")";
  }
  std::string text;
  add(text, "missing in the file", missing_lines);
  add(text, "in the file only", unexpected);
  add(text, "different", mismatched);
  return text;
}

}  // namespace checkpoint
